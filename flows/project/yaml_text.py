"""YAML that people write, changed with its comments and layout kept."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

WIDTH = 120  # of the lines written, as params.yaml and nightly.yaml have them


class NotYaml(Exception):
    """The text is not YAML; says where."""


def load(text: str) -> Any:
    """The content, to be changed in place and given to `dump`.

    Raises:
        NotYaml: it cannot be read.
    """
    try:
        return _yaml().load(text)
    except YAMLError as error:
        raise NotYaml(" ".join(str(error).split())) from None


def values(text: str) -> Any:
    """The content, only to be read: a hundred times faster."""
    return YAML(typ="safe").load(text)


def dump(content: Any) -> str:
    """The text of a content that `load` gave."""
    written = io.StringIO()
    _yaml().dump(content, written)
    return written.getvalue()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml
