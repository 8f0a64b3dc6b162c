"""Pages: a template filled in, all text escaped; nothing is loaded and no script runs."""

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flows.project.printable import printable
from reading import plot, words


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    functions = (words.number, words.signed, words.tint, words.shade, words.chance, plot.curve)
    environment.globals |= {function.__name__: function for function in functions}
    environment.globals["link"] = link
    environment.filters["plain"] = plain
    return environment


def fill(template: str, **content: Any) -> str:
    """The page as HTML text."""
    return _environment().get_template(template).render(content)


def link(path: str, **arguments: Any) -> str:
    """An address of the server; empty arguments are left out."""
    given = {name: value for name, value in arguments.items() if value not in ("", None)}
    return f"{path}?{urlencode(given)}" if given else path


def plain(value: Any) -> str:
    """A text as a page shows it: what would turn or hide its neighbours is written out."""
    return printable(words.number(value))
