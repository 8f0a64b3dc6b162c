"""A policy has positions for what it is asked to hold, or is refused before anything is sampled."""

import json
from pathlib import Path

import pytest

from stages.engines.positions import max_positions, need_positions
from stages.running.errors import BadInput


def test_a_policy_names_its_limit_or_none(tmp_path: Path) -> None:
    for content, limit in (({"max_position_embeddings": 128}, 128), ({"dtype": "float32"}, None)):
        (tmp_path / "config.json").write_text(json.dumps(content))
        assert max_positions(tmp_path) == limit


def test_a_policy_that_is_too_short_is_refused() -> None:
    need_positions("exams.r0", None, 10**6)
    need_positions("exams.r0", 129, 129)
    with pytest.raises(BadInput, match=r"exams\.r0: a policy of 128 positions .* 129 tokens"):
        need_positions("exams.r0", 128, 129)
