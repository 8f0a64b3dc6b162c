"""Lines of JSON as others write them: marks, line ends, keys that stand twice, odd numbers."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from stages.running.errors import BadInput
from stages.tasks.imported import json_lines
from stages.tasks.imported.json_lines import NO_OBJECT, read_lines

MARK = b"\xef\xbb\xbf"


def faults(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return [fault for _, _, fault in read_lines(path)]


def test_a_mark_before_the_first_line_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(MARK + b'{"a": 1}\r\n{"a": "x\xe2\x80\xa8y"}\r\n{"a": 2.50}')
    assert list(read_lines(path)) == [
        (1, {"a": Decimal(1)}, ""),
        (2, {"a": "x\u2028y"}, ""),
        (3, {"a": Decimal("2.50")}, ""),
    ]
    assert faults(path, b'{"a": 1}\n' + MARK + b'{"a": 1}\n') == [
        "",
        "with a byte order mark before it, in the middle of the file",
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_another_encoding_is_told(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    marked = "{}\n" if encoding in ("utf-16", "utf-32") else "\ufeff{}\n"
    path.write_bytes(marked.encode(encoding))
    with pytest.raises(BadInput, match=f"is in {encoding[:6].upper()}, as its first bytes say"):
        list(read_lines(path))


@pytest.mark.parametrize(
    "line", ['{"a": 1, "a": 1}', '{"b": {"a": 1, "a": 2}}', '{"a": NaN, "b": [{"a": 1, "a": 1}]}']
)
def test_a_key_that_stands_twice_is_told(line: str, tmp_path: Path) -> None:
    assert faults(tmp_path / "a.jsonl", line.encode()) == ["in which key 'a' stands twice"]


def test_a_key_that_cannot_be_printed_is_escaped(tmp_path: Path) -> None:
    [fault] = faults(tmp_path / "a.jsonl", b'{"\\ud800\\u001b": 1, "\\ud800\\u001b": 2}')
    assert fault == "in which key '\\ud800\\x1b' stands twice"


@pytest.mark.parametrize(
    "content",
    [b"\n", b"{}{}", b"[]", b"7", b'{"a": "\x07"}', b"{'a': 1}", b'{"a": 01}', b'{"a":\x00 1}'],
)
def test_what_is_no_object_is_told(content: bytes, tmp_path: Path) -> None:
    assert faults(tmp_path / "a.jsonl", content) == [NO_OBJECT]


def test_no_number_is_rounded_and_none_is_too_large_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    numbers = ["1e-07", "1000.0999755859375", "9" * 5000, "1e400", "NaN", "-Infinity"]
    path.write_text("".join(f'{{"a": {number}}}\n' for number in numbers))
    values = [values["a"] for _, values, _ in read_lines(path)]
    assert [str(value) for value in values] == [str(Decimal(number)) for number in numbers]
    assert faults(path, b'{"a": 1e99999999999999999999}') == ["with a number beyond all bounds"]


def test_a_long_line_is_told_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "MAX_LINE_BYTES", 100)
    path = tmp_path / "a.jsonl"
    line = json.dumps({"a": "x" * 1000})
    path.write_text(f'{line}\n{{"a": "b"}}\n{line}')
    told = "longer than 100 bytes"
    assert list(read_lines(path)) == [(1, {}, told), (2, {"a": "b"}, ""), (3, {}, told)]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert faults(tmp_path / "a.jsonl", b"") == []
