"""The report and the Data Docs over http, on this machine only.

Prefect's page can link to an address but to no file: browsers refuse those.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import IO

from flows.project.paths import DATA

REPORT = DATA / "report" / "report.html"
FOLDERS = ("docs", "report")
URL = "KNOWHOW_PAGES_URL"


class PortTaken(Exception):
    """The pages cannot be served where they should be."""


@contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """Serve the pages while the block runs, at `port` or a free one, and have links lead there.

    Yields the URL. Where KNOWHOW_PAGES_URL is set another program serves them: it is yielded, and
    nothing is served.

    Raises:
        PortTaken: `port` is not free.
    """
    if URL in os.environ:
        yield os.environ[URL]
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    except OSError:
        raise PortTaken(f"port {port} of 127.0.0.1 is taken; choose another") from None
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ[URL] = f"http://127.0.0.1:{server.server_port}"
        try:
            yield os.environ[URL]
        finally:
            del os.environ[URL]
            server.shutdown()


def links() -> str:
    """The pages there are, as a Markdown list; links where they are served, else paths."""
    return "\n".join(f"- {_link(page)}" for page in _pages()) or "none yet"


def _pages() -> list[Path]:
    return [page for page in (REPORT, *sorted(DATA.glob("docs/*/index.html"))) if page.exists()]


def _link(page: Path) -> str:
    url = os.environ.get(URL)
    return f"[{page}]({url}/{page.relative_to(DATA).as_posix()})" if url else f"`{page}`"


class _Handler(SimpleHTTPRequestHandler):
    """Serves from `data` only the folders with pages; its root lists the pages."""

    def __init__(self, *arguments: object) -> None:
        folder = str(DATA.absolute())
        super().__init__(*arguments, directory=folder)  # type: ignore[arg-type]

    def send_head(self) -> IO[bytes] | None:  # type: ignore[override]
        """Answer with a file, the list, or 404."""
        names = Path(self.translate_path(self.path)).relative_to(self.directory).parts
        if not names:
            return self._list()
        if names[0] not in FOLDERS:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def _list(self) -> IO[bytes]:
        names = [page.relative_to(DATA).as_posix() for page in _pages()]
        items = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in names)
        head = "<!DOCTYPE html><title>Knowhow: pages</title>"
        body = f"{head}<ul>{items or 'none yet'}</ul>".encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return BytesIO(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the terminal belongs to the run."""
