"""reasoning-gym families: their datasets, what they can judge, and their entries as JSON."""

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stages.contracts.params.task import ReasoningGymTask, ReasoningGymTier
from stages.running.errors import BadInput

CORRECT_SCORE = 1.0 - 1e-6
"""The least `score_answer` that counts as correct."""

EVAL_FAMILIES = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")
EXACT_FAMILIES = (
    *("advanced_geometry", "fraction_simplification", "gsm_symbolic", "knights_knaves"),
    *("letter_jumble", "spell_backward", "time_intervals", "word_sorting"),
)
"""Families of one right answer each whose scorer takes that answer with anything around it."""
SHAPED_FAMILIES = (
    *("kakurasu", "polynomial_equations", "quantum_lock", "rubiks_cube", "sokoban", "survo"),
    "tower_of_hanoi",
)
"""The same with more right answers than the reference: what may stand in one is stated."""
MISLED_FAMILIES = (
    *("coin_flip", "complex_arithmetic", "game_of_life_halting", "puzzle24"),
    *EXACT_FAMILIES,
    *SHAPED_FAMILIES,
)
"""Families whose scorer takes some wrong answers for right, as measured over all families by
`python -m benchmarks.reasoning_gym_answers` (docs/results/reasoning_gym_answers.json).
"""
WITHOUT_PARTIAL_CREDIT = {
    **dict.fromkeys(EVAL_FAMILIES, "its scorer would run the answer as a program"),
    **dict.fromkeys(MISLED_FAMILIES, "its scorer takes some wrong answers for right"),
}
"""Families whose scores below the full one are not to be had, or not to be trusted; and why."""
EXAMPLES = ("possible_answer", "example_answer", "example_correct_answer")
FORMULA_FAMILIES = (
    "countdown",
    "intermediate_integration",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
)
"""Families that hand an answer to sympy's parser, which evaluates it as Python."""

FUNCTIONS = {"Abs", "acos", "asin", "atan", "cos", "exp", "ln", "log", "pi", "sin", "sqrt", "tan"}
MAX_FORMULA_CHARACTERS = 2000
MIXTURE = "composite"
OWN_KEYS = ("seed", "size")
TUPLE, ITEMS = "__tuple__", "__items__"


def load_dataset(params: ReasoningGymTask, tier: ReasoningGymTier, size: int) -> Any:
    """The reasoning-gym dataset of one tier. Most families give entries beyond `size` too.

    Raises:
        BadInput: no such family or configuration key, the family refuses a value, or has no partial
            credit.
    """
    from reasoning_gym.factory import DATASETS, create_dataset

    if params.partial_credit and params.family in WITHOUT_PARTIAL_CREDIT:
        raise BadInput(
            f"params.yaml task.partial_credit: family {params.family} has none: "
            f"{WITHOUT_PARTIAL_CREDIT[params.family]}; leave partial_credit out"
        )
    families = sorted(DATASETS.keys() - {MIXTURE})
    if params.family not in families:
        raise BadInput(
            f"params.yaml task.family: no family {params.family}; "
            f"{_choices(params.family, families)}"
        )
    where = f"params.yaml task.tiers, difficulty {tier.difficulty}: family {params.family}"
    try:
        config = (
            _checked(params.family, tier.config, where)
            if tier.level is None
            else _at_level(params, tier, where)
        )
        return create_dataset(params.family, seed=_seed(params, tier), size=size, **config)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise BadInput(
            f"{where} refuses this {'config' if tier.level is None else 'level'}: {error}"
        ) from None


def _checked(family: str, config: Mapping[str, Any] | None, where: str) -> Mapping[str, Any]:
    """The keys that params.yaml sets."""
    from reasoning_gym.factory import DATASETS

    keys = [
        field.name
        for field in dataclasses.fields(DATASETS[family][1])
        if field.name not in OWN_KEYS
    ]
    for key in config or {}:
        if key not in keys:
            raise BadInput(f"{where} has no key {key}; {_choices(key, keys)}")
    return config or {}


def _at_level(params: ReasoningGymTask, tier: ReasoningGymTier, where: str) -> Mapping[str, Any]:
    """All keys as the family's curriculum sets them at the tier's level."""
    from reasoning_gym.factory import create_curriculum, has_curriculum

    if not has_curriculum(params.family):
        raise BadInput(f"{where} has no curriculum; give the tier a config instead of a level")
    curriculum = create_curriculum(params.family)
    num_levels = max(len(attribute.levels) for attribute in curriculum.attributes.values())
    if tier.level is None or tier.level >= num_levels:
        raise BadInput(f"{where} has levels 0 to {num_levels - 1}, not {tier.level}")
    curriculum.set_global_level(tier.level)
    config = curriculum.generate_configuration()
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in OWN_KEYS
    }


def reference_answer(entry: Mapping[str, Any]) -> str | None:
    """The answer of an entry, or the example that its metadata keeps.

    Families with many right answers keep one there.
    """
    examples = [entry["answer"], *(entry["metadata"].get(key) for key in EXAMPLES)]
    answer = next((example for example in examples if example is not None), None)
    return json.dumps(answer) if isinstance(answer, dict) else answer


def is_readable(family: str, answer: str) -> bool:
    """Whether the family may be asked about an answer.

    Not about an empty one, and a formula family only about a formula.
    """
    return bool(answer.strip()) and (family not in FORMULA_FAMILIES or is_formula(answer))


def is_formula(text: str) -> bool:
    """Whether a text is a formula: short, and all ASCII.

    It may hold numbers, one-letter names, known functions, brackets and + - * / ^.
    """
    if (
        len(text) > MAX_FORMULA_CHARACTERS
        or re.fullmatch(r"[0-9A-Za-z\s.+\-*/^()]*", text, re.ASCII) is None
    ):
        return False
    return all(
        len(word) == 1 or word in FUNCTIONS for word in re.findall(r"[A-Za-z][0-9A-Za-z]*", text)
    )


def pack(value: Any) -> Any:
    """An entry as JSON that `unpack` turns back into an equal one.

    Tuples and keys that are no text are marked.

    Raises:
        TypeError: a value of another type than JSON's and tuples.
    """
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, dict):
        return {ITEMS: [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {TUPLE: [pack(item) for item in value]}
    if isinstance(value, list):
        return [pack(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} is no JSON")


def unpack(value: Any) -> Any:
    """The inverse of `pack`."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TUPLE in value:
        return tuple(unpack(item) for item in value[TUPLE])
    if ITEMS in value:
        return {unpack(key): unpack(item) for key, item in value[ITEMS]}
    return {key: unpack(item) for key, item in value.items()}


def _seed(params: ReasoningGymTask, tier: ReasoningGymTier) -> int:
    """A seed far from every other tier's, since families use seed + 0, seed + 1 and on."""
    return int.from_bytes(
        hashlib.sha256(f"{params.seed}/{tier.difficulty}".encode()).digest()[:4], "big"
    )


def _choices(wrong: str, right: Sequence[str]) -> str:
    close = difflib.get_close_matches(wrong, right)
    return f"choose from {[*close, *(name for name in right if name not in close)]}"
