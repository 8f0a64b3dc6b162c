"""Dataclasses as JSON has them."""

from dataclasses import dataclass, field

import pytest

from lineage.telling.plain import plain


@dataclass(frozen=True)
class Inner:
    """Two fields."""

    a: int
    b: tuple[str, ...]


@dataclass(frozen=True)
class Outer:
    """A field of every kind."""

    first: float
    inner: Inner = field(metadata={"inline": True})
    last: Inner | None = field(metadata={"name": "the-last"})
    mapping: dict[str, list[Inner]]


def test_fields_are_keys_in_their_order() -> None:
    inner = Inner(1, ("x",))
    answer = plain(Outer(0.5, inner, None, {"k": [inner]}))
    assert answer == {
        "first": 0.5,
        "a": 1,
        "b": ["x"],
        "the-last": None,
        "mapping": {"k": [{"a": 1, "b": ["x"]}]},
    }
    assert list(answer) == ["first", "a", "b", "the-last", "mapping"]


def test_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(AssertionError):
        plain({"a": object()})
