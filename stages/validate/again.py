"""Hold rounds that were trained on against the gate's expectations again, one after another.

`knowhow audit verify` starts it and hands it the tables that dvc.lock names: digests made anew
cover up an edit, and rows that contradict each other tell of it.

Reads   one JSON object a line from standard input: `round_id`, `params_file`, `problems`,
        `text_format`, `policy`, and the paths of the streamed tables, by name.
Writes  one JSON object a line to standard output: `broken`, what does not hold; `num_rows` by
        table; `unread`, why the gate of today cannot be asked, else null.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.render import Renderer
from stages.running.errors import BadInput
from stages.running.printable import printable
from stages.validate.__main__ import check_round, read_settings
from stages.validate.plainly import PlainRunner
from stages.validate.refusal import broken_expectations, explain

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
    try:
        settings = read_settings(paths["params_file"], round_id)
    except BadInput as error:
        return {"broken": [], "num_rows": {}, "unread": _in_a_line(str(error))}
    try:
        gate = check_round(
            PlainRunner,
            round_id,
            settings,
            Renderer.of_policy(paths["policy"]),
            paths["problems"],
            paths["text_format"],
            {name: paths[name] for name in STREAMED},
        )
    except BadInput as error:
        return _broken([str(error)])
    except Exception as error:
        return _broken([f"its tables cannot be checked: {type(error).__name__}: {error}"])
    outcomes = broken_expectations(gate.found)
    return _broken(
        [explain(name, one, gate.num_rows[name]) for name, one in outcomes], gate.num_rows
    )


def _broken(messages: Sequence[str], num_rows: Mapping[str, int] = {}) -> dict[str, Any]:
    broken = [_in_a_line(message) for message in messages]
    return {"broken": broken, "num_rows": dict(num_rows), "unread": None}


def _in_a_line(message: str) -> str:
    return printable(" ".join(message.split()))


if __name__ == "__main__":
    main()
