"""Values by key, leaf by leaf, and side by side."""

import pytest

from lineage.record.values import differences, leaves, section, text_at, value_at

VALUES = {"a": 1, "b": {"c": None, "d": [1, 2]}, "e.f": {"g": "x"}}


def test_values_by_dotted_key() -> None:
    assert value_at(VALUES, "b.d") == [1, 2]
    assert value_at(VALUES, "b") == {"c": None, "d": [1, 2]}
    for key in ("c", "a.b", "b.d.0"):
        with pytest.raises(KeyError):
            value_at(VALUES, key)


def test_what_is_no_mapping_is_an_empty_section() -> None:
    assert section(VALUES, "b") == {"c": None, "d": [1, 2]}
    assert section(VALUES, "a") == section(VALUES, "z") == {}


def test_values_as_text() -> None:
    assert (text_at(VALUES, "a"), text_at(VALUES, "z")) == ("1", None)


def test_leaves_have_the_keys_on_the_way() -> None:
    """A key with a dot of its own is one key."""
    assert [*leaves(VALUES)] == [
        (("a",), 1),
        (("b", "c"), None),
        (("b", "d"), [1, 2]),
        (("e.f", "g"), "x"),
    ]
    assert [*leaves(3, ("x",))] == [(("x",), 3)]


def test_params_differ_by_their_keys() -> None:
    then = {"a": 1, "b": {"c": None, "d": [1, 2]}}
    now = {"a": 1.0, "b": {"d": [1, 3], "e": 1}}
    assert [*differences("x", then, now)] == [
        ("x.b.c", None, "nothing"),
        ("x.b.d", [1, 2], [1, 3]),
        ("x.b.e", "nothing", 1),
    ]
