"""Text that came from elsewhere, made fit for a terminal."""

import re

KEPT = "\n\t"
NAME_AND_PASSWORD = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@")
"""Of a URL, before its host. A password may have an `@` of its own."""
SECRET_ARGUMENT = re.compile(
    r"(?<=[?&])([\w-]*(?:sig|key|secret|token|password|credential|signature)[\w-]*)=[^&\s]*",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """The text without passwords and keys in the URLs that it names."""
    return SECRET_ARGUMENT.sub(r"\1=***", NAME_AND_PASSWORD.sub("***@", text))


def printable(text: str) -> str:
    """The text with what would move the cursor, colour or hide written out, as `repr` does."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in KEPT else repr(each)[1:-1] for each in text
    )
