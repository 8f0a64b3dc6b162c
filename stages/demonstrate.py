"""Write down demonstrations of *how* to answer, in an init's strategy, for it to imitate.

Reads   problems; params.yaml `inits.<init>.demonstrations` and `seed`.
Writes  demos, one row per demonstration, on problems of the train split only.
Method  Attempts, failed ones among them, then an answer (`stages.tasks.strategies`).

Example: python -m stages.demonstrate --init r0 --problems data/problems.parquet --demos
data/demos/r0.parquet
"""

from dataclasses import asdict
from pathlib import Path

from stages.contracts.params.base import Seed, read_section
from stages.contracts.params.inits.demonstrations import Demonstrations
from stages.contracts.params.task import TaskParams
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.demos import DEMOS
from stages.running.errors import command
from stages.running.publish import RunFacts
from stages.tasks.rows import read_problems
from stages.tasks.sources import load_source


def main(init: str, problems: Path, demos: Path, params_file: Path = Path("params.yaml")) -> None:
    """Generate the demonstrations of one init."""
    task = read_section(params_file, "task", TaskParams)
    seed = read_section(params_file, f"inits.{init}.seed", Seed)
    settings = read_section(params_file, f"inits.{init}.demonstrations", Demonstrations)
    facts = RunFacts("demonstrate")
    train = read_problems(problems, split="train")

    with facts.phase("generating"):
        shown = load_source(task).demonstrations(train, settings, seed)
        rows = [{"demo_id": index, **asdict(demo)} for index, demo in enumerate(shown)]

    write_table(demos, DEMOS, rows)
    facts.count(num_demos=len(rows))
    facts.write(demos)


if __name__ == "__main__":
    command(main, writes=("demos",))
