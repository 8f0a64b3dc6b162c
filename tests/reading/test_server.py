"""The pages over http: what they show, to whom, and that nothing on them runs."""

import html
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from fixtures.checkouts import ROOT
from reading.database import Database
from reading.pages import PAGES
from reading.server import application
from tests.flows.command import knowhow

ADDRESSES = (
    *("/", "/view?source=rounds/i1", "/view?source=rounds/i1&sort=-progress&search=three"),
    *("/view?source=exams/i1", "/rollout?id=i1/p/0", "/problem?id=p"),
    *("/sample?source=exams/i1&problem=p&temperature=0.5&sample=0", "/sql", "/sql?query=SELECT 1"),
)


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    with TestClient(application(database), base_url="http://127.0.0.1:4000") as made:
        yield made


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_that_a_policy_wrote_runs_or_hides(address: str, client: TestClient) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "\x1b" not in answer.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy
    assert "form-action 'self'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_every_page_is_tried() -> None:
    assert {address.partition("?")[0] for address in ADDRESSES} == {*PAGES}


def test_hostile_text_is_shown_as_text(client: TestClient) -> None:
    text = html.unescape(client.get("/rollout?id=i1/p/0").text)
    assert "<script>alert(1)</script>\\x1b[2J\\u202egpj" in text


def test_a_rollout_has_its_numbers_as_text(client: TestClient) -> None:
    text = client.get("/rollout?id=i1/p/0").text
    assert [*re.findall(r"<b>J = ([\d.]+)</b>", text)] == ["0.5", "1", "0.75"]
    assert "<b>+0.500</b>" in text
    assert "<b>−0.250</b>" in text
    assert text.count("<b>fooled itself</b>") == 1
    assert 'title="−1 nats"' in text
    assert "advantage +1.500\n(+0.000 outcome, +1.500 credit), clipped 0.5" in text
    assert "advantage of stopping +1.000" in text


def test_a_view_shows_the_query_that_made_it_and_can_be_turned(client: TestClient) -> None:
    address = "/view?source=rounds/i1&unit=segments&sort=-progress&where=progress > -1"
    page = client.get(address)
    sql = html.unescape(re.search(r"<pre[^>]*>(.*?)</pre>", page.text, re.S)[1])
    asked = client.get("/api/sql", params={"query": sql}).json()
    named = [
        dict(zip(asked["answer"]["columns"], row, strict=True)) for row in asked["answer"]["rows"]
    ]
    assert named == client.get(f"/api{address}").json()["rows"]
    assert named[0]["progress"] == 0.5
    assert "next page" not in page.text


def test_the_first_page_is_most_telling(client: TestClient) -> None:
    tellings = client.get("/api/").json()["tellings"]
    assert [(each["telling"]["title"], len(each["rows"])) for each in tellings] == [
        ("Where knowledge came", 2),
        ("Where it was lost", 2),
        ("Where the policy fooled itself", 2),
        ("Where the policy fooled itself", 2),
        ("Where thinking was in vain", 1),
    ]
    for each in tellings:
        assert client.get(each["address"]).status_code == 200


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/rollout?id=i1/z/0", "rounds/i1 has no rollout i1/z/0"),
        ("/rollout", "there is no rounds/"),
        ("/view?source=rounds/i9", "there is no rounds/i9"),
        ("/view?source=rounds/i1&where=rewards", "DuckDB refuses it"),
        ("/view?source=rounds/i1&sort=<script>", "no column <script>"),
        ("/view?source=rounds/i1&page=x", "invalid literal"),
        ("/problem?id=z", "there is no problem z"),
        ("/sample?source=exams/i1&problem=p&temperature=hot", "could not convert"),
    ],
)
def test_what_is_not_there_is_told(address: str, told: str, client: TestClient) -> None:
    for prefix in ("", "/api"):
        answer = client.get(f"{prefix}{address}")
        assert answer.status_code == 404
        assert told in html.unescape(answer.text)
        assert "<script" not in answer.text or prefix


def test_a_query_that_is_refused_is_told_beside_it(client: TestClient, tmp_path: Path) -> None:
    target = tmp_path / "stolen.csv"
    answer = client.get("/sql", params={"query": f"COPY (SELECT 1) TO '{target}'"})
    assert answer.status_code == 200
    assert "a query is one SELECT" in answer.text
    assert f"COPY (SELECT 1) TO '{target}'" in html.unescape(answer.text)
    assert not target.exists()


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1.example.org", "", "localhost@example.org"]
)
def test_another_site_is_answered_nothing(host: str, client: TestClient) -> None:
    answer = client.get("/", headers={"Host": host})
    assert (answer.status_code, answer.text) == (421, "this server is of one machine")
    assert client.get("/", headers={"Host": "localhost:4000"}).status_code == 200


@pytest.mark.parametrize("path", ["/secret", "/../params.yaml", "/static/x", "/api/x"])
def test_nothing_else_is_served(path: str, client: TestClient) -> None:
    assert client.get(path).status_code == 404
    assert client.post("/sql").status_code == 405


def test_it_is_served_on_a_free_port_until_ctrl_c(data: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    command = [sys.executable, "-u", "-m", "flows.cli", "read", "--serve"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    served = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        said = re.fullmatch(
            r"rollouts are at (http://127\.0\.0\.1:(\d+)) until ctrl-C\n", served.stdout.readline()
        )
        assert said
        assert "Most telling" in httpx.get(said[1], timeout=60).text
        busy = knowhow(tmp_path, "read", "--serve", "--port", said[2])
        assert busy.returncode == 2
        assert "is taken; choose another" in busy.stderr
        with socket.create_connection(("127.0.0.1", int(said[2]))):
            served.send_signal(signal.SIGINT)
        assert served.wait(60) == 0
    finally:
        served.kill()
