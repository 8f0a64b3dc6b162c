"""Where engines run is one question and what they hold another: here, one engine of any model."""

from collections.abc import Callable
from pathlib import Path

from stages.contracts.params.compute import Here
from stages.engines.inference import open_pool
from stages.engines.pools.here import OneEngine


def test_here_the_one_engine_is_in_this_process(tmp_path: Path) -> None:
    opened = []

    def opener(policy: Path) -> str:
        opened.append(policy)
        return policy.name

    def named(model: str, item: int, *, on_tokens: Callable[[int], None]) -> str:
        return f"{model}{item}"

    with open_pool(opener, tmp_path / "r0", Here(kind="here")) as pool:
        assert isinstance(pool, OneEngine)
        assert dict(pool.each(named, [1, 2], lambda amount: None)) == {0: "r01", 1: "r02"}
    assert opened == [tmp_path / "r0"]
