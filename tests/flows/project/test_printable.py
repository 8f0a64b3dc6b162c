"""Text from elsewhere reaches a terminal without control over it.

Flows, the audit and stages share no code, so each has this by itself; here they are held equal.
"""

from collections.abc import Callable

import pytest

import flows.project.printable
import lineage.record.printable
import stages.running.errors

COPIES = (flows.project.printable, lineage.record.printable)


@pytest.mark.parametrize(
    "printable", [*(copy.printable for copy in COPIES), stages.running.errors.printable]
)
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
def test_control_characters_are_written_out(
    printable: Callable[[str], str], text: str, shown: str
) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("without_secrets", [copy.without_secrets for copy in COPIES])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@word@host/x: no", "https://***@host/x: no"),
        ("s3://bucket/x and ssh://me@host/x", "s3://bucket/x and ssh://me@host/x"),
        ("azure://c?sig=abc&x=1", "azure://c?sig=***&x=1"),
    ],
)
def test_urls_lose_their_secrets(
    without_secrets: Callable[[str], str], text: str, shown: str
) -> None:
    assert without_secrets(text) == shown
