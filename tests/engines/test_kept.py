"""A kept engine serves the next policy like it, and draws the bits that a fresh one would."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.tiny_checkpoint import write_checkpoint
from stages.engines.kept import kept_engines, open_engine
from stages.engines.policy import save_policy
from tests.engines.countdown_policy import RENDERER, policy
from tests.engines.serving import served

QUESTIONS = ["What is 12 + 30 + 7 - 4 + 9?", "What is 6 times 7?"]
PROMPTS = [[1, 20, 30 + number, 40] for number in range(24)]


class Engines:
    """Starts what stands for an engine: a list of the policies it has served."""

    def __init__(self) -> None:
        self.started: list[list[str]] = []

    def open(self, likeness: str | None, policy: str) -> list[str]:
        def start() -> list[str]:
            self.started.append([policy])
            return self.started[-1]

        return open_engine(likeness, start, lambda engine: engine.append(policy))


@pytest.fixture
def engines() -> Engines:
    return Engines()


def test_no_engine_is_kept_unless_asked_for(engines: Engines) -> None:
    engines.open("small", "r0")
    with kept_engines():
        pass
    engines.open("small", "c1")
    assert engines.started == [["r0"], ["c1"]]


def test_one_engine_serves_all_policies_of_its_likeness(engines: Engines) -> None:
    with kept_engines():
        for name in ("r0", "c1", "c2"):
            engines.open("small", name)
    assert engines.started == [["r0", "c1", "c2"]]


@pytest.mark.parametrize("other", ["large", None])
def test_another_takes_the_place_of_the_one_that_is_kept(
    engines: Engines, other: str | None
) -> None:
    with kept_engines():
        for likeness, name in (("small", "r0"), (other, "g0"), ("small", "c1")):
            engines.open(likeness, name)
    assert engines.started == [["r0"], ["g0"], ["c1"]]


def test_an_engine_that_failed_to_load_is_not_kept(engines: Engines) -> None:
    def fail(engine: list[str]) -> None:
        raise OSError("no such policy")

    with kept_engines():
        engines.open("small", "r0")
        with pytest.raises(OSError, match="no such policy"):
            open_engine("small", list, fail)
        engines.open("small", "c1")
    assert engines.started == [["r0"], ["c1"]]


def test_a_kept_engine_draws_what_a_fresh_one_does(tmp_path: Path) -> None:
    """With output layers that share the embedding and that do not; back to the first, too."""
    made: dict[str, Callable[[Path], None]] = {
        "shared1": lambda folder: save_policy(policy(1), RENDERER, folder),
        "shared2": lambda folder: save_policy(policy(2), RENDERER, folder),
        "apart1": lambda folder: write_checkpoint(folder, "qwen3", QUESTIONS, 300, 0.15, seed=1),
        "apart2": lambda folder: write_checkpoint(folder, "qwen3", QUESTIONS, 300, 0.15, seed=2),
    }
    for name, make in made.items():
        make(tmp_path / name)
    order = [*made, "apart1", "shared1", "shared2"]
    jobs = [(tmp_path / name, PROMPTS) for name in order]
    fresh = served([(tmp_path / name, PROMPTS) for name in made], 16, tmp_path)
    kept = served(jobs, 16, tmp_path, engines="kept")
    expected = dict(zip(made, fresh, strict=True))
    assert fresh[0] != fresh[1]
    assert fresh[2] != fresh[3]
    for name, drawn in zip(order, kept, strict=True):
        assert drawn == expected[name], name
