"""Hold rounds that were trained on against the gate's expectations again, one after another.

`knowhow audit verify` starts it and hands it the tables that dvc.lock names: digests made anew
cover up an edit, and rows that contradict each other tell of it.

Reads   one JSON object a line from standard input: `round_id`, `params_file`, `problems`,
        `text_format`, `policy`, and the paths of the streamed tables, by name.
Writes  one JSON object a line to standard output: `broken`, what does not hold, each a `message`
        and its `rule`; `num_rows` by table; `unread`, why the gate of today cannot read the
        settings or the columns, else null.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stages.contracts.params.task import TaskParams
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import count_rows
from stages.running.errors import BadInput, printable
from stages.validate.__main__ import check_round, read_settings
from stages.validate.plainly import PlainRunner
from stages.validate.problem_checks import drawn_problems
from stages.validate.refusal import broken_expectations, explain
from stages.validate.suites import ExpectationResult
from stages.validate.tables import TABLES

_drawn_by_task: dict[str, pd.DataFrame | None] = {}
STREAMED = ("rollouts", "scores", "segments", "probes", "gains")


def main() -> None:
    """Answer each line."""
    replies = sys.stdout
    sys.stdout = sys.stderr  # whatever a library has to say is no reply
    for line in sys.stdin:
        replies.write(json.dumps(reply(json.loads(line))) + "\n")
        replies.flush()


def reply(request: Mapping[str, str]) -> dict[str, Any]:
    """What became of one round.

    An error of any kind is an answer about it: a table was made so that a check fails over it.
    """
    round_id, paths = request["round_id"], {name: Path(path) for name, path in request.items()}
    streamed = {name: paths[name] for name in STREAMED}
    try:
        settings = read_settings(paths["params_file"], round_id)
        for name, path in {"problems": paths["problems"], **streamed}.items():
            count_rows(path, TABLES[name])
    except BadInput as error:
        return _reply(unread=str(error))
    try:
        gate = check_round(
            PlainRunner,
            round_id,
            settings,
            Renderer.of_policy(paths["policy"]),
            paths["problems"],
            _drawn(settings.task),
            paths["text_format"],
            streamed,
        )
    except BadInput as error:
        return _reply([_broken(str(error))])
    except Exception as error:
        return _reply([_broken(f"its tables cannot be checked: {type(error).__name__}: {error}")])
    broken = [
        _broken(explain(name, one, gate.num_rows[name]), name, one)
        for name, one in broken_expectations(gate.found)
    ]
    return _reply(broken, gate.num_rows)


def _drawn(task: TaskParams) -> pd.DataFrame | None:
    """The problems drawn once more, once for all rounds; None where a file of theirs is not here.

    That is as it should be: an audit may stand where a dataset never was.
    """
    key = task.model_dump_json()
    if key not in _drawn_by_task:
        try:
            _drawn_by_task[key] = drawn_problems(task)
        except BadInput:
            _drawn_by_task[key] = None
    return _drawn_by_task[key]


def _reply(
    broken: Sequence[Mapping[str, Any]] = (),
    num_rows: Mapping[str, int] = {},
    unread: str | None = None,
) -> dict[str, Any]:
    told = None if unread is None else _in_a_line(unread)
    return {"broken": [*broken], "num_rows": dict(num_rows), "unread": told}


def _broken(
    message: str, table: str | None = None, outcome: ExpectationResult | None = None
) -> dict[str, Any]:
    """What does not hold, and the rule as validation.json states it; null of a table's contract."""
    rule = None if outcome is None else [table, outcome.type, outcome.column, outcome.notes]
    return {"message": _in_a_line(message), "rule": rule}


def _in_a_line(message: str) -> str:
    return printable(" ".join(message.split()))


if __name__ == "__main__":
    main()
