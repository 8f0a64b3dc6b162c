"""The order of an update's steps."""

from stages.update.training import minibatches
from tests.update.by_hand import update


def test_every_example_is_seen_once_an_epoch() -> None:
    settings = update(epochs=3, minibatches_per_epoch=4)
    steps = minibatches(10, settings, seed=5)
    assert len(steps) == 12
    for epoch in range(3):
        rows = [row for step in steps[4 * epoch : 4 * epoch + 4] for row in step]
        assert sorted(rows) == list(range(10))
    assert minibatches(10, settings, seed=5) == steps
    assert minibatches(10, settings, seed=6) != steps


def test_fewer_examples_than_minibatches_make_no_empty_step() -> None:
    assert len(minibatches(2, update(epochs=3, minibatches_per_epoch=4), seed=5)) == 6
