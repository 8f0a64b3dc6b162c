"""`knowhow round`: add a round to params.yaml, comments and layout kept.

With `--curriculum` the round takes budget and difficulties that the parent's exam proposes (e3's coupled curriculum),
written out as a recipe of its own: what a round used is what params.yaml says.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.run import SCRATCH

PARAMS = Path("params.yaml")
PROPOSED = SCRATCH / PARAMS.name  # which git ignores
EXAMS = Path("data/metrics/exams")
EXIT_BAD_INPUT = 2

app = typer.Typer(no_args_is_help=True, help="Rounds of params.yaml.")
ADD_EXAMPLES = """\b
Examples:
  knowhow round add i4 --parent i3 --recipe information
  knowhow round add x1 --parent i3 --recipe information --curriculum     budget and difficulties from i3's exam"""


class Refused(Exception):
    """The round cannot be added; says why."""


@app.command(epilog=ADD_EXAMPLES)
def add(
    name: Annotated[str, typer.Argument(help="Name of the round, and of the policy it makes.")],
    parent: Annotated[str, typer.Option(help="Policy it starts from.")],
    recipe: Annotated[str, typer.Option(help="Recipe of params.yaml.")],
    reference: Annotated[str | None, typer.Option(help="Policy a KL term holds it near; else the parent's.")] = None,
    judge: Annotated[str, typer.Option(help="Who gives the reward.")] = "exact",
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of its draws; else one that no round has.")] = None,
    curriculum: Annotated[
        bool, typer.Option("--curriculum", help="Budget and difficulties as the parent's exam proposes.")
    ] = False,
) -> None:
    """Add one round to params.yaml. No other round runs again for it."""
    try:
        text = with_round(PARAMS.read_text(encoding="utf-8"), name, parent, recipe, reference, judge, seed, curriculum)
        publish(text)
    except FileNotFoundError as error:
        print(f"error: {error.filename} is missing; run from the repository's root", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_INPUT) from None
    print(f"added round {name} to {PARAMS}; `knowhow plan update@{name}` shows what it will run")


def with_round(
    text: str,
    name: str,
    parent: str,
    recipe: str,
    reference: str | None,
    judge: str,
    seed: int | None,
    curriculum: bool,
) -> str:
    """params.yaml with one round more.

    Raises:
        Refused: the name is taken, the recipe unknown, or the parent's exam proposes nothing.
    """
    from flows import yaml_text

    content = yaml_text.load(text)
    rounds, recipes = content["rounds"], content["recipes"]
    if name in rounds or name in content["inits"]:
        raise Refused(f"params.yaml has a policy {name}; choose another name")
    if recipe not in recipes:
        raise Refused(f"params.yaml has no recipe {recipe}; choose from {sorted(recipes)}")
    if curriculum:
        proposed = proposal(EXAMS / f"{parent}.json")
        own = copy.deepcopy(recipes[recipe])
        own["rollout"].update(proposed)
        recipe = f"{recipe}_{name}"
        recipes[recipe] = own
    if seed is None:
        seed = 1 + max((entry["seed"] for entry in rounds.values()), default=0)
    if reference is None:
        reference = rounds[parent]["reference"] if parent in rounds else parent
    _append(rounds, name, parent=parent, reference=reference, recipe=recipe, judge=judge, seed=seed)
    return yaml_text.dump(content)


def with_exam(text: str, policy: str, judge: str) -> str:
    """params.yaml with one policy more that sits the exam, if it does not yet."""
    from flows import yaml_text

    content = yaml_text.load(text)
    if policy in content["exams"]:
        return text
    _append(content["exams"], policy, judge=judge)
    return yaml_text.dump(content)


def without_round(text: str, name: str) -> str:
    """params.yaml without a round and its exam."""
    from flows import yaml_text

    content = yaml_text.load(text)
    for section in ("rounds", "exams"):
        _remove(content[section], name)
    return yaml_text.dump(content)


def proposal(exam: Path) -> dict[str, Any]:
    """Budget and difficulties of the next round, by a policy's exam.

    Raises:
        Refused: there is no exam, or it proposes nothing.
    """
    if not exam.is_file():
        raise Refused(f"{exam} is missing; add {exam.stem} to params.yaml `exams` and run `dvc repro evaluate`")
    found = json.loads(exam.read_text(encoding="utf-8"))["curriculum"]
    if found["budget_tokens"] is None or not found["difficulties"]:
        raise Refused(f"{exam} proposes no budget or difficulty: nothing succeeds yet; leave --curriculum out")
    return {"budget_tokens": found["budget_tokens"], "difficulties": found["difficulties"]}


def publish(text: str) -> None:
    """Write params.yaml if it is valid.

    Raises:
        Refused: it is not; the file is left as it was.
    """
    PROPOSED.parent.mkdir(parents=True, exist_ok=True)
    PROPOSED.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "stages.contracts.params", "--params-file", str(PROPOSED)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    if checked.returncode:
        PROPOSED.unlink()
        raise Refused(checked.stderr.removeprefix("error: ").strip().replace(str(PROPOSED), str(PARAMS)))
    PROPOSED.replace(PARAMS)


def _append(section: Any, name: str, **values: Any) -> None:
    """One line more, where the section ends."""
    from ruamel.yaml.comments import CommentedMap

    entry = CommentedMap(values)
    entry.fa.set_flow_style()
    last = next(reversed(section), None)
    section[name] = entry
    _move_gap(section, last, name)


def _remove(section: Any, name: str) -> None:
    if name in section:
        last = next((key for key in reversed(section) if key != name), None)
        if name == next(reversed(section)):
            _move_gap(section, name, last)
        del section[name]


def _move_gap(section: Any, source: str | None, target: str | None) -> None:
    """The empty line behind the section's last entry belongs behind the new last one."""
    if source is None or target is None:
        return
    if source in section.ca.items:
        section.ca.items[target] = section.ca.items.pop(source)
    inner = section[source].ca.items
    for key in list(inner):
        section[target].ca.items[key] = inner.pop(key)
