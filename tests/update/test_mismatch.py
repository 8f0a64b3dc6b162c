"""Which rollouts are looked at; what is refused stands in test_main."""

from stages.update.mismatch import MAX_ROLLOUTS, drawn_rows


def test_all_of_few_and_some_of_many() -> None:
    assert drawn_rows(3, seed=1) == [0, 1, 2]
    many = drawn_rows(10_000, seed=1)
    assert len({*many}) == MAX_ROLLOUTS
    assert many == sorted(many) == drawn_rows(10_000, seed=1)
    assert many != drawn_rows(10_000, seed=2)
