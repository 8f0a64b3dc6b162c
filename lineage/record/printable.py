"""Text that came from elsewhere, made fit for a terminal."""

KEPT = "\n\t"


def printable(text: str) -> str:
    """The text with what would move the cursor, colour or hide written out, as `repr` does."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in KEPT else repr(each)[1:-1] for each in text
    )
