"""params.yaml as a file: check it, edit it with comments and layout kept, replace it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from ruamel.yaml.comments import CommentedMap

from flows.project import exit_codes, programs, yaml_text
from flows.project.paths import PARAMS, SCRATCH

CHECKER = "stages.contracts.params.whole"
"""The program that checks a whole params file: exit code 2 and the reasons where it is wrong."""
SOURCE_CHECKER = "stages.check"
"""The same, and the file, class or family that its problems come from."""
STANDARD_INPUT = "/dev/stdin"


class BadParams(Exception):
    """params.yaml is wrong, or an edit of it is impossible; says why."""


class NewRound(NamedTuple):
    """A round to be added: as in params.yaml, but what is None follows from the other rounds.

    The seed then is one more than any of its line's, so that two arms of one length draw the same
    problems, and differ by their recipes alone.
    """

    name: str
    parent: str
    recipe: str
    judge: str = "exact"
    reference: str | None = None
    seed: int | None = None


def check() -> None:
    """Check the whole of params.yaml.

    Raises:
        BadParams: names every offending key.
    """
    _check(CHECKER, str(PARAMS), None)


def check_source() -> None:
    """Check params.yaml against where its problems come from, which draws them: seconds.

    Raises:
        BadParams: names all that is wrong.
    """
    _check(SOURCE_CHECKER, str(PARAMS), None)


def check_text(text: str) -> None:
    """Check what may become params.yaml.

    Raises:
        BadParams: names every offending key.
    """
    _check(CHECKER, STANDARD_INPUT, text)


def publish(text: str) -> None:
    """Write params.yaml if it is valid.

    Raises:
        BadParams: it is not; the file is left as it was.
    """
    check_text(text)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    beside = SCRATCH / PARAMS.name
    beside.write_text(text, encoding="utf-8")
    beside.replace(PARAMS)


def with_round(text: str, new: NewRound, rollout: dict[str, Any] | None = None) -> str:
    """params.yaml with one round more.

    `rollout` has the keys of its recipe's rollout that differ from the recipe named: the round
    then gets a recipe of its own, written out, so that params.yaml says what the round used.

    Raises:
        BadParams: the name is taken, or the recipe unknown.
    """
    content = yaml_text.load(text)
    rounds, recipes = content["rounds"], content["recipes"]
    name, recipe = new.name, new.recipe
    if name in rounds or name in content["inits"]:
        raise BadParams(f"{PARAMS} has a policy {name}; choose another name")
    if recipe not in recipes:
        raise BadParams(f"{PARAMS} has no recipe {recipe}; choose from {sorted(recipes)}")
    if rollout:
        recipe = f"{recipe}_{name}"
        recipes[recipe] = deepcopy(recipes[new.recipe])
        recipes[recipe]["rollout"].update(rollout)
    seed, reference = new.seed, new.reference
    if seed is None:
        seed = _next_seed(rounds, new)
    if reference is None:
        reference = rounds[new.parent]["reference"] if new.parent in rounds else new.parent
    entry = {"parent": new.parent, "reference": reference, "recipe": recipe}
    _append(rounds, name, {**entry, "judge": new.judge, "seed": seed})
    return yaml_text.dump(content)


def _next_seed(rounds: Mapping[str, Mapping[str, Any]], new: NewRound) -> int:
    """A seed that neither its line nor a round of the same parent and recipe has."""
    line, policy = [], new.parent
    while policy in rounds and policy not in line:
        line.append(policy)
        policy = rounds[policy]["parent"]
    seed: int = 1 + max((rounds[name]["seed"] for name in line), default=0)
    alike = {
        entry["seed"]
        for entry in rounds.values()
        if (entry["parent"], entry["recipe"]) == (new.parent, new.recipe)
    }
    while seed in alike:
        seed += 1
    return seed


def with_exam(text: str, policy: str, judge: str) -> str:
    """params.yaml in which a policy is examined, if it was not already."""
    content = yaml_text.load(text)
    if policy in content["exams"]:
        return text
    _append(content["exams"], policy, {"judge": judge})
    return yaml_text.dump(content)


def without_round(text: str, name: str) -> str:
    """params.yaml without a round, its exam, and a recipe written out for it."""
    content = yaml_text.load(text)
    rounds, own = content["rounds"], f"_{name}"
    recipe = rounds[name]["recipe"] if name in rounds else ""
    users = [entry for entry in rounds.values() if entry["recipe"] == recipe]
    if recipe.endswith(own) and len(users) == 1:
        _remove(content["recipes"], recipe)
    for section in ("rounds", "exams"):
        _remove(content[section], name)
    return yaml_text.dump(content)


def _check(checker: str, file: str, text: str | None) -> None:
    try:
        programs.output_of(checker, "--params-file", file, given=text)
    except programs.ProgramFailed as failed:
        if failed.exit_code == exit_codes.BAD_INPUT:
            raise BadParams((failed.error or failed.said).replace(file, str(PARAMS))) from None
        raise BadParams(
            f"{PARAMS} could not be checked, `python -m {checker}` ended with exit code "
            f"{failed.exit_code}: {failed.last_line}"
        ) from None


def _append(section: CommentedMap, name: str, values: dict[str, Any]) -> None:
    """One line more, where the section ends."""
    entry = CommentedMap(values)
    entry.fa.set_flow_style()
    last = next(reversed(section), None)
    section[name] = entry
    _move_gap(section, last, name)


def _remove(section: CommentedMap, name: str) -> None:
    if name in section:
        last = next((key for key in reversed(section) if key != name), None)
        if name == next(reversed(section)):
            _move_gap(section, name, last)
        del section[name]


def _move_gap(section: CommentedMap, source: str | None, target: str | None) -> None:
    """Move the empty line after what was the section's last entry to after the one that is now."""
    if source is None or target is None:
        return
    if source in section.ca.items:
        section.ca.items[target] = section.ca.items.pop(source)
    inner = section[source].ca.items
    for key in list(inner):
        section[target].ca.items[key] = inner.pop(key)
