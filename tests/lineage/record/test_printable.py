"""Text from elsewhere reaches a terminal without control over it."""

import pytest

from lineage.record.printable import printable, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcödé 日本\n\tnext", "plain, ünïcödé 日本\n\tnext"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("over\rwritten\x08", "over\\rwritten\\x08"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@word@host/x: no", "https://***@host/x: no"),
        ("s3://bucket/x and ssh://me@host/x", "s3://bucket/x and ssh://me@host/x"),
        ("azure://c?sig=abc&x=1", "azure://c?sig=***&x=1"),
    ],
)
def test_urls_lose_their_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
