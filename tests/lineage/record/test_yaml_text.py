"""Files of DVC's are read as DVC reads them, and what is wrong is named with its line."""

import pytest

from lineage.record.errors import AuditError
from lineage.record.yaml_text import parsed


def test_values_are_those_of_version_1_2() -> None:
    text = b"a: 010\nb: 1:30\nc: no\nd: 3e-06\n"
    assert parsed(text, "params.yaml") == {"a": 10, "b": "1:30", "c": "no", "d": 3e-6}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: ]", "params.yaml, line 2, is not YAML"),
        (b"a: 1\n<<<<<<< HEAD\nb: 2\n", "params.yaml, line 2: a merge conflict"),
        (b"\xff", "params.yaml is not YAML"),
        (b"a: 2026-99-99", "params.yaml is not YAML: month"),
        (b"a: " + b"9" * 5000, "params.yaml is not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: bytes, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        parsed(text, "params.yaml")
