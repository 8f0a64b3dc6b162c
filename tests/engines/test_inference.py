"""Which engine samples and where it runs are two questions: each answered by its own key."""

from pathlib import Path

import pytest

from stages.contracts.params.compute.inference import Here, VllmEngine
from stages.engines.inference import open_pool, open_samplers
from stages.engines.pools.here import OneEngine

POLICY = Path("policy")
HERE = Here(kind="here")


def test_an_engine_here_holds_what_the_opener_makes() -> None:
    with open_pool(lambda policy: policy.name, POLICY, HERE) as pool:
        assert isinstance(pool, OneEngine)
        items = [1, 2, 3]
        done = pool.each(lambda model, item, on_tokens: (model, item), items, lambda _: None)
        assert list(done) == [(place, ("policy", item)) for place, item in enumerate(items)]


def test_an_engine_without_a_module_is_an_error() -> None:
    settings = VllmEngine.model_construct(engine="nobodys", where=HERE)
    with pytest.raises(ModuleNotFoundError, match=r"stages\.engines\.samplers\.nobodys"):
        open_samplers(POLICY, settings).__enter__()
