"""Values of params and metrics, as YAML and JSON have them: by key, leaf by leaf, side by side."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | list[Value] | Mapping[str, Value] | None"
Values: TypeAlias = Mapping[str, Value]


def value_at(values: Values, key: str) -> Value:
    """A value by its dotted key.

    Raises:
        KeyError: there is none.
    """
    value: Value = values
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise KeyError(key)
        value = value[name]
    return value


def section(values: Values, key: str) -> Values:
    """The mapping that stands under a key; an empty one where none does."""
    value = values.get(key)
    return value if isinstance(value, Mapping) else {}


def text_at(values: Values, key: str) -> str | None:
    """What stands under a key, as text; None where nothing does."""
    value = values.get(key)
    return None if value is None else str(value)


def leaves(value: Value, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Value]]:
    """The values that are no mappings, each with the keys on the way to it.

    A key may have dots of its own: `rounds.s1` and `rounds.s1.seed` can stand side by side.
    """
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, inner in value.items():
        yield from leaves(inner, (*path, str(name)))


def differences(key: str, then: Value, now: Value) -> Iterator[tuple[str, Value, Value]]:
    """The dotted keys whose values differ, with both; `nothing` stands for one that is missing."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*then, *now]):
            before, after = then.get(name, "nothing"), now.get(name, "nothing")
            yield from differences(f"{key}.{name}", before, after)
    elif then != now:
        yield key, then, now
