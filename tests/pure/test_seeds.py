"""Seeds: the same everywhere and always, and different for different draws."""

from hypothesis import given
from hypothesis import strategies as st

from stages.pure.seeds import derive_seed

TEXTS = st.text(st.characters(exclude_characters="\x1f"))
PARTS = st.lists(st.integers() | TEXTS, min_size=1, max_size=4)


def test_a_seed_never_changes() -> None:
    assert derive_seed("rollout", 1, "countdown:1-2-3>6", 0) == 4_831_884_621_461_680_372


def test_parts_do_not_run_together() -> None:
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
    assert derive_seed(1, 23) != derive_seed(12, 3)
    assert derive_seed("a", "b") != derive_seed("b", "a")


def test_ten_thousand_draws_have_ten_thousand_seeds() -> None:
    assert (
        len({derive_seed("rollout", 1, f"p{i}", j) for i in range(1250) for j in range(8)})
        == 10_000
    )


@given(PARTS)
def test_a_seed_fits_an_int64_column(parts: list[str | int]) -> None:
    assert 0 <= derive_seed(*parts) < 2**63


@given(PARTS, PARTS)
def test_different_parts_give_different_seeds(
    left: list[str | int], right: list[str | int]
) -> None:
    assert (derive_seed(*left) == derive_seed(*right)) == (
        list(map(str, left)) == list(map(str, right))
    )
