"""Pages: a template filled in, all text escaped; nothing is loaded and no script runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lineage.record.errors import AuditError
from lineage.telling import words

Answer = TypeVar("Answer")
TEMPLATES = Path(__file__).parent / "templates"
FILTERS = (
    words.short,
    words.count,
    words.fraction,
    words.difference,
    words.interval,
    words.signed_interval,
    words.value,
)


def fill(template: str, **content: object) -> str:
    """The page as HTML text."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    return environment.get_template(template).render(content)


def write(path: Path | None, render: Callable[[Answer], str], answer: Answer) -> None:
    """Write an answer's page, where one is asked for.

    Raises:
        AuditError: its folder is not there, or is no folder to write in.
    """
    if path is None:
        return
    try:
        path.write_text(render(answer), encoding="utf-8")
    except OSError as error:
        raise AuditError(f"{path} cannot be written: {error.strerror}; name another file") from None
