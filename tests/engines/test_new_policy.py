"""Random weights by a seed alone, with numbers that start out near where they are near."""

import torch

from stages.engines.new_policy import new_policy
from tests.engines.countdown_policy import RENDERER, SHAPE, policy


def test_the_same_seed_draws_the_same_weights_whatever_was_drawn_before() -> None:
    torch.manual_seed(0)
    first = policy(1).state_dict()
    torch.manual_seed(99)
    again, other = policy(1).state_dict(), policy(2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if "norm" not in name]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_near_numbers_start_out_near_and_other_words_as_drawn() -> None:
    drawn = new_policy(SHAPE, RENDERER, {}, seed=1).get_input_embeddings().weight
    added = (policy(seed=1).get_input_embeddings().weight - drawn).detach()
    at = {word: added[RENDERER.encode(word)[0]] for word in ("40", "41", "90", "T40", "+", "<<")}
    assert 0 < torch.dist(at["40"], at["41"]) < 0.75 * torch.dist(at["40"], at["90"])
    assert torch.allclose(at["T40"], at["40"], atol=1e-6)
    assert not at["+"].any()
    assert not at["<<"].any()
