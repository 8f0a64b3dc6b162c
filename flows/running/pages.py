"""The report and the Data Docs over http, on this machine only.

Prefect's page can link to an address but to no file: browsers refuse those.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

from flows.project.paths import DATA, REPORT
from flows.running.pages_handler import PagesHandler

URL = "KNOWHOW_PAGES_URL"
HERE = (Path(),)


class PortTaken(Exception):
    """The pages cannot be served where they should be."""


@contextmanager
def serving(port: int = 0, folders: Sequence[Path] = HERE) -> Iterator[str]:
    """Serve the pages while the block runs, at `port` or a free one, and have links lead there.

    They are those of the first of `folders`, checkouts, that has a report. Yields the URL. Where
    KNOWHOW_PAGES_URL is set another program serves them: it is yielded, and nothing is served.

    Raises:
        PortTaken: `port` is not free.
    """
    if URL in os.environ:
        yield os.environ[URL]
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_handler, folders))
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


def links(folder: Path = Path()) -> str:
    """The pages of a checkout, as a Markdown list; links where they are served, else paths."""
    return "\n".join(f"- {_link(folder, page)}" for page in _pages(folder)) or "none yet"


def _pages(folder: Path) -> list[Path]:
    pages = (folder / REPORT, *sorted((folder / DATA).glob("docs/*/index.html")))
    return [page for page in pages if page.exists()]


def _link(folder: Path, page: Path) -> str:
    url = os.environ.get(URL)
    return f"[{page}]({url}/{page.relative_to(folder / DATA).as_posix()})" if url else f"`{page}`"


def _handler(folders: Sequence[Path], *arguments: object) -> PagesHandler:
    shown = next((folder for folder in folders if (folder / REPORT).exists()), folders[-1])
    pages = [page.absolute() for page in _pages(shown)]
    return PagesHandler(*arguments, folder=(shown / DATA).absolute(), pages=pages)
