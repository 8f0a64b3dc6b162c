"""What an answer names from files is shown at a terminal without control over it."""

from rich.text import Text

from lineage.telling.terminal import Plainly
from tests.lineage.chain import printed


def test_escapes_and_passwords_are_not_printed() -> None:
    shown = printed(Plainly(Text("i1\x1b[31m https://me:secret@host/x", "bold")))
    assert shown.strip() == "i1\\x1b[31m https://***@host/x"
