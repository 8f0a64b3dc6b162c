"""Write down demonstrations of *how* to answer, in the strategy of an init, for its policy to imitate.

Reads   problems; params.yaml `inits.<init>.demonstrations` and `seed`.
Writes  demos, one row per demonstration, on problems of the train split only.
Method  Attempts, failed ones among them, then an answer (`stages.tasks.strategies`).

Example: python -m stages.demonstrate --init r0 --problems data/problems.parquet --demos data/demos/r0.parquet
"""

from dataclasses import asdict
from pathlib import Path

from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.facts import RunFacts
from stages.tasks.rows import read_problems
from stages.tasks.sources import load_source


def main(init: str, problems: Path, demos: Path, params_file: Path = Path("params.yaml")) -> None:
    """Generate the demonstrations of one init."""
    everything = params.load(params_file)
    settings = everything.inits[init]
    facts = RunFacts("demonstrate")
    train = read_problems(problems, split="train")

    with facts.phase("generating"):
        shown = load_source(everything.task).demonstrations(train, settings.demonstrations, settings.seed)
        rows = [{"demo_id": index, **asdict(demo)} for index, demo in enumerate(shown)]

    tables.write(demos, tables.DEMOS, rows)
    facts.count(num_demos=len(rows))
    facts.write(demos)


if __name__ == "__main__":
    command(main)
