"""The gate before `update`: a sound round passes, every planted corruption is refused by name."""

import copy
import gc
import html
import json
import re
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.contracts.format import write_format
from stages.contracts.params.compute.inference import VllmEngine
from stages.contracts.params.recipes.segments import FixedCut, MarkerCut
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.contract import part_name
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.scores import SCORES
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.task_format import marks_of
from stages.validate import __main__ as validate
from stages.validate import suites
from stages.validate.checks import Premises, check_frames, group_sizes, problems_frame
from tests.validate.sound_round import (
    EVERY_BOUNDARY,
    GROUP_SIZE,
    NAMES,
    NUM_PROBLEMS,
    PROBE_SETTINGS,
    ROUND,
    Rows,
    settings_file,
    sound_rows,
)

PART = part_name(0, 1)

Corruption = Callable[[Rows], str]


def write_unchecked(folder: Path, rows: Rows) -> None:
    """Write tables as a foreign program would: columns of the right types, and no other promise."""
    for name in NAMES:
        data = pa.Table.from_pylist(rows[name], schema=TABLES[name].schema)
        data = data.sort_by([(column, "ascending") for column in TABLES[name].key])
        (folder / f"{name}.parquet").mkdir(exist_ok=True)
        pq.write_table(data, folder / f"{name}.parquet" / PART)


def run(folder: Path, policy: Path, params_file: Path, docs: Path | None = None) -> dict[str, Any]:
    """Run the stage on the tables in a folder; what it published."""
    paths = {name: folder / f"{name}.parquet" for name in NAMES}
    validation = folder / "validation.json"
    write_format(folder / "format.json", marks_of(load_format(load(params_file).task)))
    validate.main(
        round_id=ROUND,
        text_format=policy.with_name("format.json"),
        policy=policy,
        validation=validation,
        docs=docs,
        params_file=params_file,
        **paths,
    )
    published: dict[str, Any] = json.loads(validation.read_text(encoding="utf-8"))
    return published


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy's tokenizer."""
    folder = tmp_path_factory.mktemp("round")
    settings = load(settings_file(folder, "set_likelihood"))
    form = load_format(settings.task)
    Renderer(form.tokenizer([])).save(folder / "r0")
    write_format(folder / "format.json", marks_of(form))
    return folder


@pytest.fixture(scope="module")
def sound(workplace: Path) -> Rows:
    """A sound round probed by set likelihood, never to be changed in place."""
    return sound_rows(load(workplace / "params.yaml"), Renderer.of_policy(workplace / "r0"))


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
    assert any(row["is_interpolated"] for row in rows["gains"])
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


def interpolated(rows: Rows) -> dict[str, Any]:
    return next(
        row for row in rows["gains"] if row["is_interpolated"] and row["segment_index"] == 0
    )


def judge_what_was_not_probed(rows: Rows) -> None:
    interpolated(rows)["num_judged_after"] = 1


def bend_the_line(rows: Rows) -> None:
    interpolated(rows)["success_after"] += 0.01


def forget_the_width(rows: Rows) -> None:
    for row in rows["gains"]:
        row["stderr"] *= 2 if row["is_interpolated"] else 1


def lose_the_last_boundary(rows: Rows) -> None:
    rollout_id = interpolated(rows)["rollout_id"]
    own = [row for row in rows["probes"] if row["rollout_id"] == rollout_id]
    rows["probes"].remove(own[-1])


def probe_past_the_end(rows: Rows) -> None:
    rows["probes"].append({**rows["probes"][-1], "boundary_index": 99})


@pytest.mark.parametrize(
    ("corrupt", "column"),
    [
        (judge_what_was_not_probed, "is_judged_after"),
        (bend_the_line, "success_after_residual"),
        (forget_the_width, "stderr_residual"),
        (lose_the_last_boundary, "num_missing_boundaries"),
        (probe_past_the_end, "position_gap_tokens"),
    ],
)
def test_a_wrong_interpolation_is_refused(
    corrupt: Callable[[Rows], None], column: str, tmp_path: Path, workplace: Path
) -> None:
    params_file, rows = thinned(tmp_path, workplace)
    corrupt(rows)
    write_unchecked(tmp_path, rows)
    with pytest.raises(BadInput, match=f"column {column}:"):
        run(tmp_path, workplace / "r0", params_file)


@pytest.mark.parametrize(
    ("estimator", "table", "column", "value", "found"),
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
    found: str,
    tmp_path: Path,
    workplace: Path,
) -> None:
    params_file = settings_file(tmp_path, estimator)
    rows = sound_rows(load(params_file), Renderer.of_policy(workplace / "r0"))
    put(table, column, value)(rows)
    write_unchecked(tmp_path, rows)
    with pytest.raises(BadInput, match=f"table {found}:"):
        run(tmp_path, workplace / "r0", params_file)


@pytest.mark.parametrize(
    ("score", "reward", "is_sound"), [(0.8, 1.0, True), (0.8, 0.0, False), (None, 1.0, False)]
)
def test_a_judges_rewards_are_its_decisions(
    score: float | None, reward: float, is_sound: bool, workplace: Path, sound: Rows
) -> None:
    rows = [{**row, "judge_score": 0.2, "reward": 0.0} for row in sound["scores"]]
    rows[0] |= {"judge_score": score, "reward": reward}
    data = {name: pa.Table.from_pylist(sound[name], schema=TABLES[name].schema) for name in NAMES}
    data["scores"] = pa.Table.from_pylist(rows, schema=SCORES.schema)
    residual = framed(data, workplace, decision=0.5)["scores"]["reward_residual"]
    assert (residual == 0).tolist() == [is_sound, *[True] * (len(rows) - 1)]


@pytest.mark.parametrize(
    ("verdict", "reward", "is_sound"),
    [
        ("incorrect", 0.0, True),
        ("incorrect", 0.25, True),
        ("incorrect", 1.0, False),
        ("incorrect", -0.25, False),
        ("incorrect", None, False),
        ("unparsable", 0.25, False),
        ("correct", 0.25, False),
        ("timeout", 0.25, False),
    ],
)
def test_a_part_of_the_reward_goes_to_the_verdicts_that_may_have_it(
    verdict: str, reward: float | None, is_sound: bool, workplace: Path, sound: Rows
) -> None:
    rows = [dict(row) for row in sound["scores"]]
    rows[0] |= {"verdict": verdict, "reward": reward}
    data = {name: pa.Table.from_pylist(sound[name], schema=TABLES[name].schema) for name in NAMES}
    data["scores"] = pa.Table.from_pylist(rows, schema=SCORES.schema)
    residual = framed(data, workplace, partial_credit=True)["scores"]["reward_residual"]
    assert (residual == 0).tolist() == [is_sound, *[True] * (len(rows) - 1)]
    if reward == 0.25:
        assert framed(data, workplace)["scores"]["reward_residual"][0] != 0


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


def put(table: str, column: str, value: Any, index: int = 0) -> Corruption:
    """Put a value into one row; a callable makes it from the row."""

    def corrupt(rows: Rows) -> str:
        row = rows[table][index]
        row[column] = value(row) if callable(value) else value
        return str(row[TABLES[table].key[0]])

    return corrupt


def put_entry(table: str, column: str, value: Any, entry: int = 0, index: int = 0) -> Corruption:
    """Put a value into one entry of a list column."""
    return put(
        table, column, lambda row: [*row[column][:entry], value, *row[column][entry + 1 :]], index
    )


def drop(table: str, is_dropped: Callable[[dict[str, Any]], bool] = lambda row: True) -> Corruption:
    """Leave out the first row that fits; its rollout is the offender."""

    def corrupt(rows: Rows) -> str:
        row = next(row for row in rows[table] if is_dropped(row))
        rows[table].remove(row)
        return str(row["rollout_id"])

    return corrupt


def rename(table: str, column: str, value: str) -> Corruption:
    """Rows of another round's rollout."""

    def corrupt(rows: Rows) -> str:
        rows[table].append({**rows[table][0], column: value})
        return value

    return corrupt


def overlap_segments(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["segment_index"] == 1)
    row["start_token"] -= 1
    return f"{row['rollout_id']}, segment_index=1 has -1"


def part_segments(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["segment_index"] == 1)
    row["start_token"] += 1
    return f"{row['rollout_id']}, segment_index=1 has 1"


def uncover_the_end(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["kind"] == "answer")
    row["end_token"] -= 1
    return str(row["rollout_id"])


def answer_first(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["kind"] == "attempt")
    row["kind"] = "answer"
    return str(row["rollout_id"])


def stop_telescoping(rows: Rows) -> str:
    row = rows["gains"][0]
    row["progress"] += 0.01
    return str(row["rollout_id"])


def ask_heldout_problem(rows: Rows) -> str:
    row = next(
        row for row in rows["problems"] if row["problem_id"] == rows["rollouts"][0]["problem_id"]
    )
    row["split"] = "heldout"
    return str(rows["rollouts"][0]["rollout_id"])


def leak_prompt(rows: Rows) -> str:
    heldout = next(row for row in rows["problems"] if row["split"] == "heldout")
    train = next(
        row for row in rows["problems"] if row["split"] == "train" and row["difficulty"] == 4
    )
    train["prompt"] = heldout["prompt"]
    return str(min(heldout["problem_id"], train["problem_id"]))


def shrink_group(rows: Rows) -> str:
    gone = rows["rollouts"][0]["rollout_id"]
    for name in NAMES[1:]:
        rows[name] = [row for row in rows[name] if row["rollout_id"] != gone]
    return str(rows["rollouts"][0]["rollout_id"])


def share_a_seed(rows: Rows) -> str:
    rows["rollouts"][1]["seed"] = rows["rollouts"][0]["seed"]
    return str(rows["rollouts"][0]["rollout_id"])


def think_past_the_budget(rows: Rows) -> str:
    row = rows["rollouts"][0]
    extra = 80 - row["num_thinking_tokens"]
    row["completion_tokens"] = [row["completion_tokens"][0]] * extra + row["completion_tokens"]
    row["sampler_logprobs"] = [-1.0] * extra + row["sampler_logprobs"]
    row["token_origin"] = [0] * extra + row["token_origin"]
    row["num_thinking_tokens"] += extra
    return str(row["rollout_id"])


def begin_with_a_reply(rows: Rows) -> str:
    segment = next(row for row in rows["segments"] if row["segment_index"] == 1)
    assert segment["kind"] != "answer"
    [rollout] = [row for row in rows["rollouts"] if row["rollout_id"] == segment["rollout_id"]]
    rollout["token_origin"][segment["start_token"]] = 2
    return str(segment["rollout_id"])


def judge_another_answer(rows: Rows) -> str:
    row = rows["scores"][0]
    row["answer"] = "1 + 1 2"
    return str(row["rollout_id"])


def probe_other_segments(rows: Rows) -> str:
    row = next(row for row in rows["probes"] if row["boundary_index"] == 1)
    row["position"] += 1
    return str(row["rollout_id"])


def keep_stale_gains(rows: Rows) -> str:
    for row in rows["probes"]:
        row["answer_logprobs"] = [logprob - 2 for logprob in row["answer_logprobs"]]
        row["gold_logprob_nats"] -= 2
    return str(rows["gains"][0]["rollout_id"])


def break_the_chain(rows: Rows) -> str:
    row = next(row for row in rows["gains"] if row["segment_index"] == 1)
    row["success_before"] *= 0.5
    return str(row["rollout_id"])


def count_an_answer_twice(rows: Rows) -> str:
    row = rows["probes"][0]
    for column in ("answers", "answer_logprobs"):
        row[column] = [*row[column], row[column][0]]
    row["num_probes"] += 1
    return str(row["rollout_id"])


def raise_difficulty(rows: Rows) -> str:
    row = next(
        row for row in rows["problems"] if row["problem_id"] == rows["rollouts"][0]["problem_id"]
    )
    row["difficulty"] = 4
    return str(rows["rollouts"][0]["rollout_id"])


def number_from_one(table: str, column: str) -> Corruption:
    """Count from 1 where 0 is the first."""

    def corrupt(rows: Rows) -> str:
        for row in rows[table]:
            row[column] += 1
        return str(rows[table][0]["rollout_id"])

    return corrupt


FORCED = 1  # index of a forced rollout among the sound ones

CORRUPTIONS: list[tuple[str, Corruption, str, str, int | None]] = [
    # what is planted, how, and the table, column and count that must be named; None stands for
    # every row
    (
        "nan log-prob",
        put_entry("rollouts", "sampler_logprobs", np.nan),
        "rollouts",
        "num_nonfinite_logprobs",
        1,
    ),
    (
        "infinite log-prob",
        put_entry("rollouts", "sampler_logprobs", -np.inf),
        "rollouts",
        "num_nonfinite_logprobs",
        1,
    ),
    (
        "null log-prob",
        put_entry("rollouts", "sampler_logprobs", None),
        "rollouts",
        "num_nonfinite_logprobs",
        1,
    ),
    (
        "log-prob above 0",
        put_entry("rollouts", "sampler_logprobs", 0.5),
        "rollouts",
        "max_logprob",
        1,
    ),
    (
        "fewer log-probs than tokens",
        put("rollouts", "sampler_logprobs", lambda row: row["sampler_logprobs"][:-1]),
        "rollouts",
        "num_missing_logprobs",
        1,
    ),
    (
        "token past vocabulary",
        put_entry("rollouts", "completion_tokens", 10**6),
        "rollouts",
        "max_token",
        1,
    ),
    ("negative token", put_entry("rollouts", "completion_tokens", -7), "rollouts", "min_token", 1),
    ("null token", put_entry("rollouts", "completion_tokens", None), "rollouts", "min_token", 1),
    ("empty completion", put("rollouts", "completion_tokens", []), "rollouts", "num_tokens", 1),
    (
        "tokens after the end",
        put_entry("rollouts", "completion_tokens", 2),
        "rollouts",
        "num_early_eos",
        1,
    ),
    ("foreign policy", put("rollouts", "policy_id", "i3"), "rollouts", "policy_id", 1),
    ("foreign temperature", put("rollouts", "temperature", 0.7), "rollouts", "temperature", 1),
    (
        "unknown problem",
        put("rollouts", "problem_id", "countdown:1-2-3>9"),
        "rollouts",
        "problem_split",
        1,
    ),
    ("held-out problem", ask_heldout_problem, "rollouts", "problem_split", GROUP_SIZE),
    (
        "foreign prompt",
        put_entry("rollouts", "prompt_tokens", 9, entry=1),
        "rollouts",
        "is_prompt_of_problem",
        1,
    ),
    ("foreign rollout id", put("rollouts", "rollout_id", "i2/x/0"), "rollouts", "is_id_derived", 1),
    ("wrong group size", shrink_group, "rollouts", "num_group_rollouts", GROUP_SIZE - 1),
    ("shared seed", share_a_seed, "rollouts", "seed", 2),
    (
        "thinking past its budget",
        think_past_the_budget,
        "rollouts",
        "num_sampled_thinking_tokens",
        1,
    ),
    (
        "answer past its room",
        put("rollouts", "num_thinking_tokens", 0, FORCED),
        "rollouts",
        "num_answer_tokens",
        1,
    ),
    (
        "unknown finish reason",
        put("rollouts", "finish_reason", "abort"),
        "rollouts",
        "finish_reason",
        1,
    ),
    (
        "finish reason denied by tokens",
        put("rollouts", "finish_reason", "length"),
        "rollouts",
        "is_end_as_told",
        1,
    ),
    (
        "fewer origins than tokens",
        put("rollouts", "token_origin", lambda row: row["token_origin"][:-1]),
        "rollouts",
        "num_missing_origins",
        1,
    ),
    (
        "unknown origin",
        put_entry("rollouts", "token_origin", 3),
        "rollouts",
        "num_unknown_origins",
        1,
    ),
    (
        "log-prob of a cue that was put there",
        put(
            "rollouts",
            "sampler_logprobs",
            lambda row: [-1.0] * len(row["completion_tokens"]),
            FORCED,
        ),
        "rollouts",
        "num_logprobs_not_sampled",
        1,
    ),
    (
        "reply behind thinking",
        put("rollouts", "token_origin", lambda row: [*row["token_origin"][:-1], 2]),
        "rollouts",
        "num_late_environment_tokens",
        1,
    ),
    (
        "cue where there is none",
        put_entry("rollouts", "token_origin", 1),
        "rollouts",
        "num_foreign_cue_tokens",
        1,
    ),
    (
        "thinking that ends before its cue",
        put("rollouts", "num_thinking_tokens", 1, FORCED),
        "rollouts",
        "num_missing_cue_tokens",
        1,
    ),
    (
        "cue that was put there without a reason",
        put("rollouts", "finish_reason", "stop", FORCED),
        "rollouts",
        "is_cue_as_told",
        1,
    ),
    ("no score", drop("scores"), "rollouts", "is_scored", 1),
    (
        "score of an unknown rollout",
        rename("scores", "rollout_id", "i2/x/0"),
        "scores",
        "is_of_known_rollout",
        1,
    ),
    ("reward out of range", put("scores", "reward", 1.5), "scores", "reward", 1),
    ("nan reward", put("scores", "reward", np.nan), "scores", "reward_residual", 1),
    (
        "reward against its verdict",
        put("scores", "reward", lambda row: 1 - (row["reward"])),
        "scores",
        "reward_residual",
        1,
    ),
    (
        "reward without a verdict",
        put("scores", "verdict", Verdict.TIMEOUT),
        "scores",
        "reward_residual",
        1,
    ),
    ("unknown verdict", put("scores", "verdict", "fine"), "scores", "verdict", 1),
    ("answer of another rollout", judge_another_answer, "scores", "is_answer_of_rollout", 1),
    ("overlapping segments", overlap_segments, "segments", "start_gap_tokens", 1),
    ("gap between segments", part_segments, "segments", "start_gap_tokens", 1),
    ("uncovered end", uncover_the_end, "segments", "tail_gap_tokens", 1),
    ("answer before thinking", answer_first, "segments", "is_answer_last", 1),
    (
        "segment left out",
        drop("segments", lambda row: row["segment_index"] == 1),
        "segments",
        "start_gap_tokens",
        1,
    ),
    (
        "no segments",
        drop("segments", lambda row: row["rollout_id"].endswith("/3")),
        "rollouts",
        "num_segments",
        1,
    ),
    ("probe left out", drop("probes"), "rollouts", "num_missing_boundaries", 1),
    ("probe beside its boundary", probe_other_segments, "probes", "position_gap_tokens", 1),
    ("answer counted twice", count_an_answer_twice, "probes", "num_repeated_answers", 1),
    ("foreign estimator", put("probes", "estimator", "forced_answer"), "probes", "estimator", 1),
    (
        "answer log-prob above 0",
        put_entry("probes", "answer_logprobs", 0.5),
        "probes",
        "max_answer_logprob",
        1,
    ),
    (
        "solution set past certainty",
        put_entry("probes", "answer_logprobs", 0.5),
        "probes",
        "set_success",
        1,
    ),
    (
        "nan answer log-prob",
        put_entry("probes", "answer_logprobs", np.nan),
        "probes",
        "num_nonfinite_answer_logprobs",
        1,
    ),
    (
        "judged answers that were not asked",
        put("gains", "num_judged_after", 99),
        "gains",
        "is_judged_after",
        1,
    ),
    (
        "stale gold log-prob",
        put("probes", "gold_logprob_nats", -50.0),
        "probes",
        "gold_logprob_residual",
        1,
    ),
    ("no gain", drop("gains"), "segments", "is_credited", 1),
    ("gain of no segment", rename("gains", "rollout_id", "i2/x/0"), "gains", "segment_kind", 1),
    ("success above 1", put("gains", "success_after", 1.5), "gains", "success_after", 1),
    ("nan success", put("gains", "success_before", np.nan), "gains", "success_before_residual", 1),
    (
        "success missing",
        put("gains", "success_before", None),
        "gains",
        "success_before_residual",
        1,
    ),
    ("progress that does not telescope", stop_telescoping, "gains", "telescoping_residual", 1),
    ("nan progress", put("gains", "progress", np.nan), "gains", "progress_residual", 1),
    ("gains of other probes", keep_stale_gains, "gains", "success_before_residual", None),
    ("success that jumps", break_the_chain, "gains", "is_unbroken", 1),
    (
        "information gain of another base",
        put("gains", "info_gain_nats", 9.0),
        "gains",
        "info_gain_nats_residual",
        1,
    ),
    (
        "standard error of an exact estimate",
        put("gains", "stderr", 0.1),
        "gains",
        "stderr_residual",
        1,
    ),
    ("prompt of both splits", leak_prompt, "problems", "num_prompt_splits", 2),
    ("unknown split", put("problems", "split", "test"), "problems", "split", 1),
    ("problem of another task", put("problems", "task", "chess"), "problems", "task", 1),
    ("metadata that is not JSON", put("problems", "metadata", "{"), "problems", "metadata", 1),
    ("unnamed problem", put("problems", "problem_id", "", index=-1), "problems", "problem_id", 1),
    ("negative difficulty", put("problems", "difficulty", -1), "problems", "difficulty", 1),
    ("empty prompt", put("problems", "prompt", "", index=-1), "problems", "prompt", 1),
    ("empty reference answer", put("problems", "answer", ""), "problems", "answer", 1),
    ("difficulty outside the recipe", raise_difficulty, "rollouts", "difficulty", GROUP_SIZE),
    (
        "sample outside the group",
        put("rollouts", "sample_index", GROUP_SIZE),
        "rollouts",
        "sample_index",
        1,
    ),
    (
        "thinking past the end",
        put("rollouts", "num_thinking_tokens", 70),
        "rollouts",
        "num_answer_tokens",
        1,
    ),
    (
        "no answer segment",
        drop("segments", lambda row: row["kind"] == "answer"),
        "rollouts",
        "num_missing_answer_segments",
        1,
    ),
    (
        "segment of an unknown rollout",
        rename("segments", "rollout_id", "i2/x/0"),
        "segments",
        "is_of_known_rollout",
        1,
    ),
    (
        "segments numbered from 1",
        number_from_one("segments", "segment_index"),
        "segments",
        "index_gap",
        None,
    ),
    ("unknown kind", put("segments", "kind", "thought"), "segments", "kind", 1),
    (
        "empty segment",
        put("segments", "end_token", lambda row: row["start_token"]),
        "segments",
        "num_tokens",
        1,
    ),
    (
        "empty thinking segment",
        put("segments", "end_token", lambda row: row["start_token"]),
        "segments",
        "num_sampled_tokens",
        1,
    ),
    ("segment that a reply begins", begin_with_a_reply, "segments", "is_start_sampled", 1),
    (
        "answer segment before the cue",
        put("segments", "kind", "answer"),
        "segments",
        "is_answer_at_cue",
        1,
    ),
    (
        "unknown attempt verdict",
        put("segments", "attempt_verdict", "fine"),
        "segments",
        "attempt_verdict",
        1,
    ),
    (
        "probe of an unknown rollout",
        rename("probes", "rollout_id", "i2/x/0"),
        "probes",
        "is_of_known_rollout",
        1,
    ),
    (
        "boundaries numbered from 1",
        number_from_one("probes", "boundary_index"),
        "probes",
        "index_gap",
        None,
    ),
    ("no answer tried", put("probes", "num_probes", 0), "probes", "num_probes", 1),
    ("answers not stored", put("probes", "num_probes", 99), "probes", "num_missing_answers", 1),
    (
        "fewer answer log-probs than answers",
        put("probes", "answer_logprobs", []),
        "probes",
        "num_missing_answer_logprobs",
        1,
    ),
    (
        "gains of another estimator",
        put("gains", "estimator", "forced_answer"),
        "gains",
        "estimator",
        1,
    ),
    ("success below 0", put("gains", "success_before", -0.1), "gains", "success_before", 1),
    (
        "judged answers below 0",
        put("gains", "num_judged_before", -1),
        "gains",
        "is_judged_before",
        1,
    ),
    (
        "success after of other probes",
        put("gains", "success_after", 0.99),
        "gains",
        "success_after_residual",
        1,
    ),
    ("negative standard error", put("gains", "stderr", -0.1), "gains", "stderr", 1),
    (
        "interpolation that was none",
        put("gains", "is_interpolated", True),
        "gains",
        "is_interpolation_told",
        1,
    ),
    ("value past certainty", put("probes", "value", 1.5), "probes", "value", 1),
    ("value of no critic", put("probes", "value", 0.5), "probes", "is_value_due", 1),
    ("judge's score past certainty", put("scores", "judge_score", 1.5), "scores", "judge_score", 1),
]


@pytest.mark.parametrize(
    ("corrupt", "table", "column", "count"),
    [case[1:] for case in CORRUPTIONS],
    ids=[case[0] for case in CORRUPTIONS],
)
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
    rows, told = copy.deepcopy(sound), []
    change(rows)
    write_unchecked(tmp_path, rows)
    for num_rows in (len(rows["probes"]), len(rows["probes"]) // 2):
        monkeypatch.setattr(validate, "BATCH_ROWS", num_rows)
        try:
            told.append(str(run(tmp_path, workplace / "r0", workplace / "params.yaml")))
        except BadInput as error:
            told.append(str(error))
    assert told[0] == told[1]
    assert ("nothing trains" in told[0]) == (change is spoil)


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
    assert "max_logprob" in pages["index.html"]
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


def arrow(rows: Rows) -> dict[str, pa.Table]:
    """Rows as tables, sorted by key."""
    data = {name: pa.Table.from_pylist(rows[name], schema=TABLES[name].schema) for name in NAMES}
    return {
        name: t.sort_by([(c, "ascending") for c in TABLES[name].key]) for name, t in data.items()
    }


def framed(
    data: dict[str, pa.Table],
    workplace: Path,
    decision: float | None = None,
    partial_credit: bool = False,
) -> dict[str, pd.DataFrame]:
    """Check frames of whole tables."""
    problems, *others = (
        data[name] for name in ("problems", "rollouts", "scores", "segments", "probes", "gains")
    )
    held = premises(workplace, problems, group_sizes([data["rollouts"]]), decision, partial_credit)
    return {"problems": problems_frame(problems), **dict(check_frames(held, *others))}


def premises(
    workplace: Path,
    problems: pa.Table,
    sizes: dict[str, int],
    decision: float | None,
    partial_credit: bool,
) -> Premises:
    """What the sound round is held against."""
    settings, renderer = load(workplace / "params.yaml"), Renderer.of_policy(workplace / "r0")
    rewards = {verdict.value: verdict.reward for verdict in Verdict}
    cue_tokens = renderer.encode(load_format(settings.task).cue)
    probe = settings.recipes["information"].probe
    return Premises(
        ROUND, problems, sizes, renderer, cue_tokens, rewards, partial_credit, decision, probe
    )


@pytest.fixture(scope="module")
def frames(sound: Rows, workplace: Path) -> dict[str, pd.DataFrame]:
    """Check frames of the sound round."""
    return framed(arrow(sound), workplace)


def parameters(workplace: Path) -> dict[str, Any]:
    settings = validate.read_settings(workplace / "params.yaml", ROUND)
    return validate.suite_parameters(settings, Renderer.of_policy(workplace / "r0"), 1)


@pytest.mark.parametrize("name", NAMES)
def test_suite_names_what_exists(
    name: str, frames: dict[str, pd.DataFrame], workplace: Path
) -> None:
    from great_expectations.expectations.registry import get_expectation_impl

    known = parameters(workplace)
    assert len(frames[name]) > 0
    suite = suites.read_suite(name)
    assert len({(e["type"], e["kwargs"]["column"]) for e in suite}) == len(suite)
    for expectation in suite:
        assert set(expectation) == {"type", "kwargs", "meta"}
        assert get_expectation_impl(expectation["type"]).__module__.startswith(
            "great_expectations.expectations.core."
        )
        assert expectation["kwargs"]["column"] in frames[name].columns
        assert expectation["meta"]["notes"]
        for bound in expectation["kwargs"].values():
            assert not isinstance(bound, dict) or bound["$PARAMETER"] in known


@pytest.mark.parametrize("name", NAMES)
def test_every_derived_column_is_judged(name: str, frames: dict[str, pd.DataFrame]) -> None:
    derived = set(frames[name].columns) - set(TABLES[name].schema.names)
    assert derived <= {e["kwargs"]["column"] for e in suites.read_suite(name)}


def test_every_parameter_is_used(workplace: Path) -> None:
    known = parameters(workplace)
    bounds = [
        bound for name in NAMES for e in suites.read_suite(name) for bound in e["kwargs"].values()
    ]
    assert {bound["$PARAMETER"] for bound in bounds if isinstance(bound, dict)} == set(known)


def test_an_engine_that_is_not_exact_may_round_up(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parameters(workplace)["max_logprob_nats"] == 0
    monkeypatch.setattr(VllmEngine, "is_exact", False)
    assert 0 < parameters(workplace)["max_logprob_nats"] <= 0.01


def test_the_gate_keeps_no_frame_that_it_has_judged() -> None:
    gate = suites.SuiteRunner({"verdicts": ["correct"]})
    frame = pd.DataFrame(
        {
            "rollout_id": ["r0", "r1"],
            "verdict": ["correct", "lucky"],
            "reward": 1.0,
            "judge_score": float("nan"),
            "reward_residual": 0.0,
            "is_of_known_rollout": True,
            "is_answer_of_rollout": True,
        }
    )
    kept = weakref.ref(frame)
    gate.judge("scores", frame)
    gate.judge("scores", frame.head(1))
    del frame
    gc.collect()
    assert kept() is None
    assert (gate.num_rows["scores"], gate.results["scores"].success) == (3, False)
