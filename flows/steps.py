"""What `dvc repro` would run here, as JSON: `python -m flows.steps TARGET …`.

A list in running order: of each stage its name, the stages it needs, its command with all templates
of dvc.yaml resolved, what it reads of params.yaml, and the paths it writes.
"""

import json
import sys
from dataclasses import asdict

from flows.project.exit_codes import BAD_INPUT
from flows.running.graph import GraphError, steps


def main(targets: list[str]) -> None:
    """Print the steps of the targets and of all they need; of the whole graph without targets."""
    try:
        print(json.dumps([asdict(step) for step in steps(targets)]))
    except GraphError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from None


if __name__ == "__main__":
    main(sys.argv[1:])
