"""The gate asked again, as an audit asks it: a line about every round, and no crash."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixtures.checkouts import ROOT
from stages.validate.again import reply
from tests.validate.corruptions import put
from tests.validate.gate import PART, write_unchecked
from tests.validate.sound_round import NAMES, ROUND, Rows

SOUND = {"broken": [], "unread": None}


def asked(folder: Path, workplace: Path, rows: Rows) -> dict[str, str]:
    """A request about rows, written as a foreign program would."""
    write_unchecked(folder, rows)
    paths = {name: str(folder / f"{name}.parquet") for name in NAMES}
    policy, form = str(workplace / "r0"), str(workplace / "format.json")
    params = str(workplace / "params.yaml")
    return {
        **{"round_id": ROUND, "params_file": params, "text_format": form, "policy": policy},
        **paths,
    }


def messages(answer: dict[str, Any]) -> list[str]:
    return [broken["message"] for broken in answer["broken"]]


def test_rounds_are_answered_line_by_line(tmp_path: Path, workplace: Path, sound: Rows) -> None:
    request = asked(tmp_path, workplace, sound)
    program = [sys.executable, "-m", "stages.validate.again"]
    lines = f"{json.dumps(request)}\n" * 2
    done = subprocess.run(
        program, cwd=ROOT, input=lines, capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    for answer in answers:
        assert answer.items() >= SOUND.items()
        assert answer["num_rows"] == {name: len(sound[name]) for name in NAMES}


def test_what_is_broken_has_its_rule(tmp_path: Path, workplace: Path, sound: Rows) -> None:
    rows = copy.deepcopy(sound)
    put("scores", "verdict", "fi\x1b[31mne")(rows)
    answer = reply(asked(tmp_path, workplace, rows))
    [verdict] = [one for one in answer["broken"] if one["rule"][2] == "verdict"]
    assert verdict["rule"][:2] == ["scores", "expect_column_values_to_be_in_set"]
    assert "\x1b" not in verdict["message"]


@pytest.mark.parametrize("name", ["probes", "gains"])
def test_a_table_that_breaks_its_contract_is_broken(
    name: str, tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    rows = copy.deepcopy(sound)
    rows[name] += rows[name]
    [message] = messages(reply(asked(tmp_path, workplace, rows)))
    assert f"table {name}" in message
    assert "duplicate key" in message


def test_an_error_of_a_check_is_about_the_round(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    request = asked(tmp_path, workplace, sound)
    (tmp_path / "form.json").write_text('{"cue": 7}')
    [message] = messages(reply({**request, "text_format": str(tmp_path / "form.json")}))
    assert message


def test_settings_and_columns_that_are_not_read(
    tmp_path: Path, workplace: Path, sound: Rows
) -> None:
    request = asked(tmp_path, workplace, sound)
    (tmp_path / "params.yaml").write_text("rounds: {}\n")
    other = reply({**request, "params_file": str(tmp_path / "params.yaml")})
    assert "no key named i1" in other["unread"]
    part = tmp_path / "scores.parquet" / PART
    pq.write_table(pq.read_table(part).drop_columns(["answer"]), part)
    assert "columns missing ['answer']" in reply(request)["unread"]
