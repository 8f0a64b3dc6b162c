"""What a request for a page gets: a regular file that lies in one of two folders, and nothing else.

Pages show what policies wrote and tables hold, so none may run a script, and no other site may read
them: a name that an attacker has lead to 127.0.0.1 comes in the header Host.
"""

import html
import os
import re
import stat
from collections.abc import Sequence
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

FOLDERS = ("docs", "report")
REPORT = ("report", "report.html")
OBJECT = re.compile(r".*/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")
"""Where DVC keeps what it made, whichever folder the cache is."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class PagesHandler(SimpleHTTPRequestHandler):
    """Serves the pages below a folder; its root lists them."""

    def __init__(self, *arguments: object, folder: Path, pages: Sequence[Path]) -> None:
        self._folder, self._pages = folder, pages
        super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

    def send_head(self) -> IO[bytes] | None:  # type: ignore[override]
        """Answer with a file, the list, or an error."""
        if not is_loopback(self.headers.get_all("Host", [])):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        names = names_in(self.path)
        if names is None:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return None
        if not names:
            return self._send(BytesIO(self._list()), "text/html")
        opened = open_page(self._folder, names)
        if opened is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return self._send(opened, self.guess_type(names[-1]))

    def end_headers(self) -> None:
        """With every answer, errors too."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Of what serves no more than its name."""
        return "knowhow"

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the terminal belongs to the run."""

    def _send(self, content: IO[bytes], kind: str) -> IO[bytes]:
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}{charset}")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        return content

    def _list(self) -> bytes:
        names = [html.escape(page.relative_to(self._folder).as_posix()) for page in self._pages]
        items = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in names)
        head = "<!DOCTYPE html><title>Knowhow: pages</title>"
        return f"{head}<ul>{items or 'none yet'}</ul>".encode()


def names_in(target: str) -> list[str] | None:
    """The names on the path of a request; None where it is no path of readable names."""
    try:
        path = unquote(urlsplit(target).path, errors="strict")
    except ValueError:
        return None
    if not path.isprintable() or not path.startswith("/"):
        return None
    return [name for name in path.split("/") if name]


def is_loopback(hosts: Sequence[str]) -> bool:
    """Whether a request names this machine, once, by a name that no other site can have."""
    if len(hosts) != 1:
        return False
    try:
        parts = urlsplit(f"//{hosts[0]}")
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.netloc != hosts[0] or "@" in hosts[0]:
        return False
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def open_page(folder: Path, names: Sequence[str]) -> IO[bytes] | None:
    """A regular file below one of the folders, by no link; None where there is none.

    Each name is opened within the folder before it, so nothing can be put in its place meanwhile.
    The report alone may be a link to DVC's object of it: on some file systems DVC lays no other.
    """
    if names[0] not in FOLDERS or len(names) < 2 or {".", ".."} & {*names}:
        return None
    held: list[int] = []
    try:
        held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        for name in names[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            held.append(os.open(name, flags, dir_fd=held[-1]))
        # a pipe would wait for whoever writes into it
        flags = os.O_RDONLY | os.O_NONBLOCK
        if tuple(names) != REPORT or not _is_object(folder.joinpath(*names)):
            flags |= os.O_NOFOLLOW
        file = os.open(names[-1], flags, dir_fd=held[-1])
    except (OSError, ValueError):
        return None
    finally:
        for descriptor in held:
            os.close(descriptor)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    return os.fdopen(file, "rb")


def _is_object(path: Path) -> bool:
    return OBJECT.fullmatch(str(path.resolve())) is not None
