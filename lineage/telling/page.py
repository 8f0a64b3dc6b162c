"""Pages: a template filled in, all text escaped; nothing is loaded and no script runs."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lineage.record.errors import AuditError
from lineage.telling import words

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


def write(path: Path, text: str) -> None:
    """Write a page.

    Raises:
        AuditError: its folder is not there, or is no folder to write in.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AuditError(f"{path} cannot be written: {error.strerror}; name another file") from None
