"""A comparison as chains: each one arm, one initial policy, one seed, and a params.yaml of its own.

A profile names what the arms differ by; all else is the repository's params.yaml. See
`experiments/objectives.yaml`.
"""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import Field, ValidationError

from stages.contracts.params.base import Count, Name, Section, Seed
from stages.contracts.params.whole import Params
from stages.contracts.verdict import EXACT
from stages.running.errors import BadInput

INIT = "r0"


def _variant_keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if "discriminator" in schema:
            yield schema["discriminator"]["propertyName"]
        schema = schema.values()
    if isinstance(schema, Iterable) and not isinstance(schema, str):
        for part in schema:
            yield from _variant_keys(part)


VARIANT_KEYS = frozenset(_variant_keys(Params.model_json_schema()))
"""The keys that choose among variants: `name` of an objective, `estimator` of a probe …"""


class Profile(Section):
    """What is compared."""

    everywhere: dict[str, Any]
    """Laid over params.yaml, section by section, for every chain."""
    recipe: Name
    """The recipe of params.yaml that every arm starts from."""
    arms: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    """What each arm lays over that recipe."""
    init_seeds: Annotated[list[Seed], Field(min_length=1)]
    round_seeds: Annotated[list[Seed], Field(min_length=1)]
    num_rounds: Count
    rounds_between_exams: Count


class Chain(NamedTuple):
    """One line of rounds from one initial policy."""

    arm: str
    init_seed: int
    round_seed: int
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """Folder and label."""
        return f"{self.arm}-init{self.init_seed}-seed{self.round_seed}"


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        BadInput: it is missing or breaks its model.
    """
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BadInput(
            f"no profile {path}; choose from {sorted(map(str, path.parent.glob('*.yaml')))}"
        ) from None
    except (yaml.YAMLError, ValidationError) as error:
        raise BadInput(f"{path} is not a profile: {error}") from None


def check_arms(profile: Profile, path: Path, arms: Collection[str]) -> None:
    """See that a profile has all of the arms.

    Raises:
        BadInput: it has not; names the first.
    """
    if unknown := [arm for arm in arms if arm not in profile.arms]:
        raise BadInput(f"{path} has no arm {unknown[0]}; choose from {[*profile.arms]}")


def chains(profile: Profile, base: Mapping[str, Any]) -> Iterator[Chain]:
    """Every chain, arms innermost: half done, an experiment compares all on the seeds it has.

    Raises:
        BadInput: an arm's params.yaml would not be valid; names the arm and the keys.
    """
    for round_seed in profile.round_seeds:
        for init_seed in profile.init_seeds:
            for arm in profile.arms:
                chain = Chain(
                    arm, init_seed, round_seed, _params(profile, base, arm, init_seed, round_seed)
                )
                try:
                    Params.model_validate(chain.params)
                except ValidationError as error:
                    raise BadInput(f"arm {arm}: {error}") from None
                yield chain


def overlay(below: Any, above: Any) -> Any:
    """`above` laid over `below`: mappings key by key, all else replaced. None takes a key away.

    A section that chooses another variant, as `{name: outcome}` does, replaces the one below whole:
    what keys it has is its own affair.
    """
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return copy.deepcopy(above)
    if any(key in VARIANT_KEYS and below.get(key, word) != word for key, word in above.items()):
        return copy.deepcopy(above)
    merged = {**below, **{key: overlay(below.get(key), value) for key, value in above.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def _params(
    profile: Profile, base: Mapping[str, Any], arm: str, init_seed: int, round_seed: int
) -> dict[str, Any]:
    content = overlay(base, profile.everywhere)
    content["inits"] = {INIT: {**content["inits"][INIT], "seed": init_seed}}
    content["recipes"] = {arm: overlay(content["recipes"][profile.recipe], profile.arms[arm])}
    content["judges"] = {}
    names = [f"c{number}" for number in range(1, profile.num_rounds + 1)]
    content["rounds"] = {}
    for number, (name, parent) in enumerate(zip(names, [INIT, *names], strict=False), start=1):
        entry = {"parent": parent, "reference": INIT, "recipe": arm, "judge": EXACT}
        seed = 1000 * init_seed + 100 * round_seed + number
        content["rounds"][name] = {**entry, "seed": seed}
    examined = [INIT, *names[profile.rounds_between_exams - 1 :: profile.rounds_between_exams]]
    content["exams"] = {name: {"judge": EXACT} for name in examined}
    return dict(content)
