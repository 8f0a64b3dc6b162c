"""The gate before `update`: a sound round passes, every planted corruption is refused by name."""

import copy
import html
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.contracts.params.compute.inference import VllmEngine
from stages.contracts.params.recipes.segments import FixedCut, MarkerCut
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.all import TABLES
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.validate import __main__ as validate
from stages.validate import suites
from tests.validate.corruptions import CORRUPTIONS, Corruption, each_corruption, put, put_entry
from tests.validate.gate import PART, parameters, run, write_unchecked
from tests.validate.sound_round import (
    EVERY_BOUNDARY,
    GROUP_SIZE,
    NAMES,
    NUM_PROBLEMS,
    PROBE_SETTINGS,
    Rows,
    settings_file,
    sound_rows,
)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Leave one column's expectations, those that a corruption breaks: all suites take a second."""
    read_suite = suites.read_suite

    def leave(table: str, column: str) -> None:
        monkeypatch.setattr(
            suites,
            "read_suite",
            lambda name: [
                e for e in read_suite(name) if (name, e["kwargs"]["column"]) == (table, column)
            ],
        )

    return leave


def refused(folder: Path, workplace: Path, rows: Rows) -> str:
    """Write rows, run the stage, and hand back what it says while it refuses them."""
    write_unchecked(folder, rows)
    with pytest.raises(BadInput) as caught:
        run(folder, workplace / "r0", workplace / "params.yaml")
    assert not (folder / "validation.json").exists()
    return str(caught.value)


def test_a_sound_round_is_published(tmp_path: Path, workplace: Path, sound: Rows) -> None:
    for name in NAMES:
        write_table(tmp_path / f"{name}.parquet", TABLES[name], sound[name])
    published = run(tmp_path, workplace / "r0", workplace / "params.yaml")
    assert published["success"] is True
    assert {name: part["num_rows"] for name, part in published["tables"].items()} == {
        name: len(sound[name]) for name in NAMES
    }
    kinds = {row["finish_reason"] for row in sound["rollouts"]}
    assert kinds == {"stop", "forced", "length"}
    for name, part in published["tables"].items():
        assert len(part["expectations"]) == len(suites.read_suite(name))
        assert all(
            e["success"] and e["unexpected_count"] == 0 and e["first"] is None
            for e in part["expectations"]
        )
    assert (tmp_path / "validation.run.json").is_file()


def test_validation_is_the_same_bytes_each_time(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_unchecked(tmp_path / name, sound)
        run(
            tmp_path / name,
            workplace / "r0",
            workplace / "params.yaml",
            docs=tmp_path / name / "docs",
        )
        texts.append((tmp_path / name / "validation.json").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]
    assert not re.search(r"\d{4}-\d\d-\d\d|[0-9a-f]{8}-[0-9a-f]{4}", texts[0])


def test_sampled_probes_pass_and_failed_verifiers_are_legitimate(
    tmp_path: Path, workplace: Path
) -> None:
    params_file = settings_file(tmp_path, "forced_answer", **EVERY_BOUNDARY)
    rows = sound_rows(load(params_file), Renderer.of_policy(workplace / "r0"))
    rows["scores"][0] |= {"verdict": Verdict.TIMEOUT, "reward": None}
    rows["scores"][1] |= {"verdict": Verdict.ERROR, "reward": None}
    blind = next(row["rollout_id"] for row in rows["gains"] if row["segment_index"] == 1)
    for row in rows["gains"]:
        if row["rollout_id"] == blind and row["segment_index"] in (0, 1):
            side = "after" if row["segment_index"] == 0 else "before"
            row |= {
                f"num_judged_{side}": 0,
                f"success_{side}": None,
                "progress": None,
                "stderr": None,
            }
    write_unchecked(tmp_path, rows)
    assert run(tmp_path, workplace / "r0", params_file)["success"] is True


@pytest.mark.parametrize("estimator", PROBE_SETTINGS)
def test_every_estimator_passes(estimator: str, tmp_path: Path, workplace: Path) -> None:
    params_file = settings_file(tmp_path, estimator)
    rows = sound_rows(load(params_file), Renderer.of_policy(workplace / "r0"))
    for name in NAMES:
        write_table(tmp_path / f"{name}.parquet", TABLES[name], rows[name])
    assert run(tmp_path, workplace / "r0", params_file)["success"] is True


def thinned(folder: Path, workplace: Path) -> tuple[Path, Rows]:
    """A round whose recipe probes a share of the boundaries, one of them between two others."""
    params_file = settings_file(folder, "forced_answer")
    rows = sound_rows(load(params_file), Renderer.of_policy(workplace / "r0"))
    assert any(row["is_carried"] for row in rows["gains"])
    return params_file, rows


def test_a_share_of_the_boundaries_is_enough_where_the_recipe_says_so(
    tmp_path: Path, workplace: Path
) -> None:
    params_file, rows = thinned(tmp_path, workplace)
    write_unchecked(tmp_path, rows)
    assert run(tmp_path, workplace / "r0", params_file)["success"] is True
    settings_file(tmp_path, "forced_answer", **EVERY_BOUNDARY)
    with pytest.raises(BadInput, match="column num_missing_boundaries"):
        run(tmp_path, workplace / "r0", params_file)


def carried(rows: Rows) -> dict[str, Any]:
    return next(row for row in rows["gains"] if row["is_carried"] and row["segment_index"] == 0)


def judge_what_was_not_probed(rows: Rows) -> None:
    carried(rows)["num_judged_after"] = 1


def bend_what_is_carried(rows: Rows) -> None:
    carried(rows)["success_after"] += 0.01


def misstate_the_error(rows: Rows) -> None:
    for row in rows["gains"]:
        row["stderr"] *= 2 if row["is_carried"] else 1


def lose_the_last_boundary(rows: Rows) -> None:
    rollout_id = carried(rows)["rollout_id"]
    probes = [row for row in rows["probes"] if row["rollout_id"] == rollout_id]
    rows["probes"].remove(probes[-1])


def probe_past_the_end(rows: Rows) -> None:
    rows["probes"].append({**rows["probes"][-1], "boundary_index": 99})


@pytest.mark.parametrize(
    ("corrupt", "column"),
    [
        (judge_what_was_not_probed, "is_judged_after"),
        (bend_what_is_carried, "success_after_residual"),
        (misstate_the_error, "stderr_residual"),
        (lose_the_last_boundary, "num_missing_boundaries"),
        (probe_past_the_end, "position_gap_tokens"),
    ],
)
def test_a_wrong_carrying_is_refused(
    corrupt: Callable[[Rows], None], column: str, tmp_path: Path, workplace: Path
) -> None:
    params_file, rows = thinned(tmp_path, workplace)
    corrupt(rows)
    write_unchecked(tmp_path, rows)
    with pytest.raises(BadInput, match=f"column {column}:"):
        run(tmp_path, workplace / "r0", params_file)


@pytest.mark.parametrize(
    ("estimator", "table", "column", "value", "named"),
    [
        ("critic", "probes", "value", None, "probes, column is_value_due"),
        ("critic", "probes", "value", 1.5, "probes, column value"),
        ("critic", "probes", "num_probes", 1, "probes, column num_probes"),
        ("critic", "gains", "success_before", 0.5, "gains, column success_before_residual"),
        ("critic", "gains", "info_gain_nats", 0.5, "gains, column info_gain_nats_residual"),
        (
            "answer_likelihood",
            "probes",
            "gold_logprob_nats",
            None,
            "probes, column gold_logprob_residual",
        ),
        ("answer_likelihood", "probes", "num_probes", 2, "probes, column num_probes"),
        (
            "answer_entropy",
            "probes",
            "gold_logprob_nats",
            -1.0,
            "probes, column gold_logprob_residual",
        ),
        ("answer_entropy", "gains", "info_gain_nats", 0.7, "gains, column info_gain_nats_residual"),
        (
            "answer_entropy",
            "gains",
            "info_gain_nats",
            None,
            "gains, column info_gain_nats_residual",
        ),
    ],
)
def test_each_estimator_is_held_to_its_own_rules(
    estimator: str,
    table: str,
    column: str,
    value: float | None,
    named: str,
    tmp_path: Path,
    workplace: Path,
) -> None:
    params_file = settings_file(tmp_path, estimator)
    rows = sound_rows(load(params_file), Renderer.of_policy(workplace / "r0"))
    put(table, column, value)(rows)
    write_unchecked(tmp_path, rows)
    with pytest.raises(BadInput, match=f"table {named}:"):
        run(tmp_path, workplace / "r0", params_file)


def test_a_score_that_no_judge_gave_is_refused(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    rows = copy.deepcopy(sound)
    offender = put("scores", "judge_score", 0.5)(rows)
    message = refused(tmp_path, workplace, rows)
    assert "table scores, column reward_residual: 1 of" in message
    assert offender in message


def test_a_round_without_thinking_passes(tmp_path: Path, workplace: Path) -> None:
    settings = load(workplace / "params.yaml")
    rows = sound_rows(settings, Renderer.of_policy(workplace / "r0"), endings=[3] * GROUP_SIZE)
    assert rows["gains"] == []
    write_unchecked(tmp_path, rows)
    assert (
        run(tmp_path, workplace / "r0", workplace / "params.yaml", tmp_path / "docs")["success"]
        is True
    )


@each_corruption
def test_a_corruption_is_refused(
    corrupt: Corruption,
    table: str,
    column: str,
    count: int | None,
    tmp_path: Path,
    workplace: Path,
    sound: Rows,
    only: Callable[[str, str], None],
) -> None:
    only(table, column)
    rows = copy.deepcopy(sound)
    offender = corrupt(rows)
    message = refused(tmp_path, workplace, rows)
    [line] = [text for text in message.splitlines() if f"table {table}, column {column}:" in text]
    size = len(rows[table])
    assert f"{count or size} of {size} rows" in line
    assert offender in line
    assert "dvc repro" in message


def test_a_cut_bounds_its_segments() -> None:
    marker = MarkerCut(cut="marker")
    fixed = FixedCut(cut="fixed", num_tokens=6)
    assert validate.segment_bounds(marker) == {
        "segment_kinds": ["attempt", "other", "answer"],
        "max_segment_tokens": None,
    }
    assert validate.segment_bounds(fixed) == {
        "segment_kinds": ["other", "answer"],
        "max_segment_tokens": 6,
    }


def test_every_expectation_has_its_corruption() -> None:
    planted = {(table, column) for _, _, table, column, _ in CORRUPTIONS} | {
        ("rollouts", "problem_id")
    }
    assert planted == {
        (name, e["kwargs"]["column"]) for name in NAMES for e in suites.read_suite(name)
    }


def test_a_round_of_too_few_problems_is_refused(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    gone = sound["rollouts"][0]["problem_id"]
    rows = copy.deepcopy(sound)
    rows["rollouts"] = [row for row in rows["rollouts"] if row["problem_id"] != gone]
    message = refused(tmp_path, workplace, rows)
    assert f"table rollouts, column problem_id: {NUM_PROBLEMS - 1} found" in message


def truncate(folder: Path) -> list[str]:
    path = folder / "rollouts.parquet" / PART
    path.write_bytes(path.read_bytes()[:-100])
    return ["table rollouts", f"rollouts.parquet/{PART} is corrupt", "dvc repro"]


def lose_the_file(folder: Path) -> list[str]:
    shutil.rmtree(folder / "gains.parquet")
    return ["table gains", "gains.parquet is missing", "dvc repro"]


def rewrite(
    table: str, change: Callable[[pa.Table], pa.Table], *fragments: str
) -> Callable[[Path], list[str]]:
    """Change a table's file behind the contract's back."""

    def corrupt(folder: Path) -> list[str]:
        path = folder / f"{table}.parquet" / PART
        pq.write_table(change(pq.read_table(path)), path)
        return [f"table {table}", *fragments]

    return corrupt


def swap_columns(data: pa.Table) -> pa.Table:
    names = data.column_names
    return data.select([names[1], names[0], *names[2:]])


def store_doubles(data: pa.Table) -> pa.Table:
    index = data.column_names.index("progress")
    return data.set_column(index, "progress", data["progress"].cast(pa.float64()))


def lose_a_value(data: pa.Table) -> pa.Table:
    index = data.column_names.index("verdict")
    field = pa.field("verdict", pa.string())
    return data.set_column(index, field, [[None, *data["verdict"].to_pylist()[1:]]])


CONTRACT_CORRUPTIONS: dict[str, Callable[[Path], list[str]]] = {
    "truncated file": truncate,
    "missing file": lose_the_file,
    "missing column": rewrite(
        "scores", lambda data: data.drop_columns(["verdict"]), "missing ['verdict']"
    ),
    "unknown column": rewrite(
        "scores", lambda data: data.append_column("x", data["reward"]), "unknown ['x']"
    ),
    "swapped columns": rewrite(
        "segments", swap_columns, "column segment_index where rollout_id belongs"
    ),
    "wrong type": rewrite("gains", store_doubles, "column progress", "holds double, not float"),
    "null in a column without nulls": rewrite(
        "scores", lose_a_value, "column verdict: 1 null value(s)", "row 0"
    ),
    "duplicate key": rewrite(
        "probes",
        lambda data: pa.concat_tables([data.slice(0, 1), data]),
        "1 duplicate key(s)",
        "'boundary_index': 0",
    ),
}


@pytest.mark.parametrize("corrupt", CONTRACT_CORRUPTIONS.values(), ids=CONTRACT_CORRUPTIONS.keys())
def test_a_broken_file_is_refused(
    corrupt: Callable[[Path], list[str]], tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    write_unchecked(tmp_path, sound)
    fragments = corrupt(tmp_path)
    (tmp_path / "validation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        run(tmp_path, workplace / "r0", workplace / "params.yaml")
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert not (tmp_path / "validation.json").exists(), "an earlier pass must not open the gate"


def spoil(rows: Rows) -> None:
    """Break what is of a row, a rollout, a group and a whole table, at both ends of the tables."""
    for index in (0, -1):
        put("scores", "verdict", "fine", index)(rows)
        put_entry("rollouts", "sampler_logprobs", 0.5, index=index)(rows)
        put("rollouts", "seed", rows["rollouts"][3]["seed"], index)(rows)
        put("gains", "progress", None, index)(rows)
        put("segments", "start_token", 99, index)(rows)
    for table in ("scores", "segments", "probes", "gains"):
        rows[table].append({**rows[table][-1], "rollout_id": "z/of another/0"})
    del rows["rollouts"][5]


@pytest.mark.parametrize("change", [lambda rows: None, spoil], ids=["sound", "spoilt"])
def test_rows_judged_some_at_a_time_come_to_the_same(
    change: Callable[[Rows], None],
    tmp_path: Path,
    workplace: Path,
    sound: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, said = copy.deepcopy(sound), []
    change(rows)
    write_unchecked(tmp_path, rows)
    for num_rows in (len(rows["probes"]), len(rows["probes"]) // 2):
        monkeypatch.setattr(validate, "BATCH_ROWS", num_rows)
        try:
            said.append(str(run(tmp_path, workplace / "r0", workplace / "params.yaml")))
        except BadInput as error:
            said.append(str(error))
    assert said[0] == said[1]
    assert ("nothing trains" in said[0]) == (change is spoil)


def test_every_broken_expectation_has_its_line(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    rows = copy.deepcopy(sound)
    put_entry("rollouts", "sampler_logprobs", 0.5)(rows)
    put("scores", "verdict", "fine")(rows)
    message = refused(tmp_path, workplace, rows)
    assert re.search(r"round i1: 3 expectation\(s\) broken", message)
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:-1]] == [
        "table rollouts, column max_logprob",
        "table scores, column reward_residual",
        "table scores, column verdict",
    ]


def test_docs_are_written_for_a_refused_round_and_load_nothing(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    rows = copy.deepcopy(sound)
    offender = put_entry("rollouts", "sampler_logprobs", 0.5)(rows)
    write_unchecked(tmp_path, rows)
    docs = tmp_path / "docs"
    with pytest.raises(BadInput, match=re.escape(str(docs / "index.html"))):
        run(tmp_path, workplace / "r0", workplace / "params.yaml", docs)
    pages = {path.name: path.read_text(encoding="utf-8") for path in docs.iterdir()}
    assert set(pages) == {"index.html", *(f"{name}.html" for name in NAMES)}
    assert '<td class="broken">1</td>' in pages["index.html"]
    assert "max_logprob" in pages["rollouts.html"]
    assert offender in html.unescape(pages["rollouts.html"])
    for page in pages.values():
        assert not re.search(r"<script|<link|<img|https?://|@import|url\(", page)
        targets = set(re.findall(r'href="([^"#]+)"', page))
        assert targets <= set(pages), "a link that leads nowhere"


def test_nothing_is_fetched_and_nothing_is_left_elsewhere(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    write_unchecked(tmp_path, sound)
    with watched() as touched:
        run(tmp_path, workplace / "r0", workplace / "params.yaml", tmp_path / "docs")
    assert touched
    assert all(path.startswith(str(tmp_path)) for path in touched), touched


_watching: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in ("socket.connect", "socket.getaddrinfo"):
        _watching[-1].append(f"{event} {arguments[1:]}")
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        _watching[-1].append(str(arguments[0]))


sys.addaudithook(_audit)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect the files opened to write and the addresses asked for, in this process."""
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()


def test_an_engine_that_is_not_exact_may_round_up(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parameters(workplace)["max_logprob_nats"] == 0
    monkeypatch.setattr(VllmEngine, "is_exact", False)
    assert 0 < parameters(workplace)["max_logprob_nats"] <= 0.01
