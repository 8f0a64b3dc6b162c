"""`knowhow read` at the terminal."""

import json
from pathlib import Path

import pytest

from tests.flows.command import imported_by, knowhow
from tests.reading.world import write


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    write(folder / "data")
    return folder


def test_it_opens_on_the_sources_and_what_tells_most(checkout: Path) -> None:
    done = knowhow(checkout, "read")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:4] == [
        "SOURCE ROWS",
        "rounds/i1 3 rollouts",
        "exams/i1 2 answers",
        "exams/r0 2 answers",
    ]
    came = lines.index("Where knowledge came: rounds/i1")
    assert lines[came + 2].startswith("i1/p/0 0 0.5 0.5 1 two three three <script>")


def test_rows_are_shown_with_their_query(checkout: Path) -> None:
    done = knowhow(checkout, "read", "--round", "i1", "--sort=-progress", "--limit", "2")
    assert "2 of 6 segments shown." in done.stdout
    assert "WITH page AS" in done.stdout
    exam = knowhow(checkout, "read", "--exam", "i1", "--where", "verdict = 'correct'", "--json")
    content = json.loads(exam.stdout)
    assert (content["num_found"], content["rows"][0]["budget_tokens"]) == (1, 8)
    assert knowhow(checkout, "read", "--sql", content["sql"], "--json").returncode == 0


def test_one_rollout_is_told_from_boundary_to_boundary(checkout: Path) -> None:
    done = knowhow(checkout, "read", "i1/p/0")
    told = [line for line in done.stdout.splitlines() if line.startswith(("J", "+", "-"))]
    assert told == [
        "J = 0.500  tried: 6 (-1.00 nats); 5 (-1.00 nats)",
        "+0.500  attempt  advantage +1.500",
        "J = 1.000  tried: 6 (-1.00 nats); 5 (-1.00 nats)",
        "-0.250  attempt  fooled itself",
        "J = 0.750  tried: 1 (-1.00 nats)",
    ]
    content = json.loads(knowhow(checkout, "read", "i1/p/0", "--json").stdout)
    assert [each["success"] for each in content["boundaries"]] == [0.5, 1.0, 0.75]
    assert content["segments"][0]["tokens"][0] == ["two", -1.0]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--round", "i1"], ["i1/p/0"], ["--sql", 'FROM "rounds/i1".scores'], ["--exam", "i1"]],
)
def test_no_control_character_reaches_the_terminal(arguments: list[str], checkout: Path) -> None:
    done = knowhow(checkout, "read", *arguments)
    assert done.returncode == 0
    assert "alert(1)" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--round", "i9"], "there is no rounds/i9; there are rounds/i1"),
        (["--round", "i1", "--exam", "i1"], "--round and --exam are two sources; choose one"),
        (["--exam", "o3"], "there is no exams/o3"),
        (["i1/z/0"], "rounds/i1 has no rollout i1/z/0"),
        (["--round", "i1", "--sort", "rewards"], "rollouts have no column rewards"),
        (["--sql", "COPY (SELECT 1) TO 'x'"], "a query is one SELECT"),
        (["--file", "none/page.html"], "none/page.html cannot be written"),
    ],
)
def test_what_is_not_there_is_told(arguments: list[str], told: str, checkout: Path) -> None:
    done = knowhow(checkout, "read", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert not (checkout / "x").exists()


def test_a_page_is_written(checkout: Path, tmp_path: Path) -> None:
    done = knowhow(checkout, "read", "--file", str(tmp_path / "page.html"))
    assert done.stdout == f"{tmp_path}/page.html: 3 of 3 rollouts of 1 rounds\n"


def test_before_anything_was_made_it_says_what_makes_it(tmp_path: Path) -> None:
    assert "no rounds and no exams yet; `knowhow train`" in knowhow(tmp_path, "read").stdout


def test_it_waits_for_neither_dvc_nor_prefect_nor_torch(checkout: Path) -> None:
    imported = imported_by(checkout, "read", "--round", "i1")
    assert "duckdb" in imported
    assert not imported & {"dvc", "prefect", "torch", "pandas", "uvicorn", "vl_convert"}
