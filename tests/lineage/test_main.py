"""The audit without the `knowhow` command."""

from fixtures.checkouts import ROOT, succeed

COMMANDS = ("show", "rows", "leaks", "diff", "verify", "key", "sign", "rebuild", "export")


def test_it_is_the_command_of_another_name() -> None:
    text = succeed(["python", "-m", "lineage", "--help"], ROOT)
    assert "Usage: knowhow audit " in text
    for command in COMMANDS:
        assert f"  {command} " in text
