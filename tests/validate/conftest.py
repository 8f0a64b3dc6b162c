"""A sound round and the folder of its policy, once for each file of tests."""

from pathlib import Path

import pytest

from stages.contracts.format import write_format
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of
from tests.validate.sound_round import (
    Rows,
    settings_file,
    sound_rows,
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy's tokenizer."""
    folder = tmp_path_factory.mktemp("round")
    settings = load(settings_file(folder, "set_likelihood"))
    form = load_format(settings.task)
    Renderer(form.tokenizer([])).save(folder / "r0")
    write_format(folder / "format.json", marks_of(form))
    return folder


@pytest.fixture(scope="module")
def sound(workplace: Path) -> Rows:
    """A sound round probed by set likelihood, never to be changed in place."""
    return sound_rows(load(workplace / "params.yaml"), Renderer.of_policy(workplace / "r0"))
