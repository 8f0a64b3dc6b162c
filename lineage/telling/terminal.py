"""An answer at a terminal: nothing in it moves the cursor, and no password is shown."""

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from lineage.record.printable import printable, without_secrets


class Plainly:
    """Something to print, whose texts come from files that anyone may have written."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._content, options):
            text = printable(without_secrets(segment.text))
            yield Segment(text, segment.style, segment.control)
