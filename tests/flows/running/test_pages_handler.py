"""What the pages server gives away: regular files of its two folders, to this machine alone."""

import http.client
import os
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from flows.running import pages
from flows.running.pages_handler import HEADERS, is_loopback, open_page

SECRET = b"not a page"


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server of a checkout with two pages, and with ways out of their folders."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_bytes(SECRET)
    for name in ("data/docs/i1/index.html", "data/report/report.html", "data/policies/r0/w.html"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"<p>{name}")
    (tmp_path / "data/report/link").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "data/report/beside.html").symlink_to("report.html")
    (tmp_path / "data/docs/out").symlink_to(tmp_path)
    (tmp_path / "data/docs/a<b>").mkdir()
    (tmp_path / "data/docs/a<b>/index.html").write_text("odd")
    os.mkfifo(tmp_path / "data/report/pipe")
    with pages.serving() as url:
        yield int(url.rpartition(":")[2])


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_pages_are_served_and_listed(port: int) -> None:
    for path in ("docs/i1/index.html", "report/report.html"):
        status, body, headers = ask(port, f"/{path}?again#here")
        assert (status, body) == (200, f"<p>data/{path}".encode())
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert ask(port, f"/{path}", "HEAD")[:2] == (200, b"")
    _, listed, _ = ask(port, "/")
    assert b'<a href="/report/report.html">' in listed
    assert b"a<b>" not in listed


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/report/link", HTTPStatus.NOT_FOUND),
        ("/report/beside.html", HTTPStatus.NOT_FOUND),
        ("/docs/out/secret.txt", HTTPStatus.NOT_FOUND),
        ("/docs/out/data/policies/r0/w.html", HTTPStatus.NOT_FOUND),
        ("/docs/../../secret.txt", HTTPStatus.NOT_FOUND),
        ("/docs/%2e%2e/policies/r0/w.html", HTTPStatus.NOT_FOUND),
        ("/docs/..%2fpolicies/r0/w.html", HTTPStatus.NOT_FOUND),
        ("/policies/r0/w.html", HTTPStatus.NOT_FOUND),
        ("/report/pipe", HTTPStatus.NOT_FOUND),
        ("/docs/i1", HTTPStatus.NOT_FOUND),
        ("/docs/i1/", HTTPStatus.NOT_FOUND),
        ("/docs", HTTPStatus.NOT_FOUND),
        ("/report/report.html/more", HTTPStatus.NOT_FOUND),
        (f"/report/{'x' * 5000}", HTTPStatus.NOT_FOUND),
        ("/report/report.html%00", HTTPStatus.BAD_REQUEST),
        ("/%00", HTTPStatus.BAD_REQUEST),
        ("/report/%0d%0aSet-Cookie:%20a=b", HTTPStatus.BAD_REQUEST),
        ("/report/%ff", HTTPStatus.BAD_REQUEST),
    ],
)
def test_nothing_else_is_given(port: int, path: str, status: int) -> None:
    found, body, headers = ask(port, path)
    assert found == status
    assert SECRET not in body
    assert headers.items() >= HEADERS.items()


@pytest.mark.parametrize("path", [b"/report/\0", b"http://[/report/report.html", b"report"])
def test_what_is_no_path_is_answered(port: int, path: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path)
        with connection.makefile("rb") as answer:
            assert b" 400 " in answer.readline()
            answer.read()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "a@localhost", ""])
def test_another_host_is_refused(port: int, host: str) -> None:
    status, body, _ = ask(port, "/report/report.html", Host=host)
    assert status == HTTPStatus.MISDIRECTED_REQUEST
    assert b"<p>data" not in body


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:4201", "127.3.2.1", "[::1]:80"]
)
def test_names_of_this_machine(host: str) -> None:
    assert is_loopback([host])


@pytest.mark.parametrize(
    "hosts",
    [
        *([], ["localhost", "localhost"], ["localhost/"], ["localhost:x"], ["localhost:99999"]),
        *(["[::1"], ["0.0.0.0"], ["10.0.0.1"], ["localhost.evil"], ["2130706433"], ["127.1"]),
    ],
)
def test_other_names(hosts: list[str]) -> None:
    assert not is_loopback(hosts)


def test_the_report_may_be_dvcs_own_object(tmp_path: Path) -> None:
    """On a file system without hard links DVC lays links to its cache."""
    kept = tmp_path / "cache/files/md5/ab" / ("c" * 30)
    for path in (kept, tmp_path / "secret.txt", tmp_path / "data/report/other"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("report")
    for name, target in (("report.html", kept), ("report", kept), ("more.html", kept)):
        (tmp_path / "data/report" / name).symlink_to(target)
    opened = open_page(tmp_path / "data", ["report", "report.html"])
    assert opened is not None
    with opened:
        assert opened.read() == b"report"
    assert open_page(tmp_path / "data", ["report", "more.html"]) is None
    (tmp_path / "data/report/report.html").unlink()
    (tmp_path / "data/report/report.html").symlink_to(tmp_path / "secret.txt")
    assert open_page(tmp_path / "data", ["report", "report.html"]) is None


def test_a_folder_that_is_a_link_is_no_folder_of_pages(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/page.html").write_text("page")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/docs").symlink_to(tmp_path / "elsewhere")
    assert open_page(tmp_path / "data", ["docs", "page.html"]) is None
