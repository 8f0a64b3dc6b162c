"""Streams cut at the same keys: the same join as by dictionaries, whatever the batches."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.storage.joins import aligned

KEYS = st.lists(st.sampled_from(["a", "b", "c", "ca", "d", "é"]), max_size=12).map(sorted)
SCHEMA = pa.schema([("rollout_id", pa.string()), ("place", pa.int64())])


def stream(keys: Sequence[str], size: int) -> Iterator[pa.Table]:
    """A sorted table, `size` rows at a time; an empty one is one empty batch."""
    table = pa.Table.from_pydict({"rollout_id": keys, "place": range(len(keys))}, schema=SCHEMA)
    return (table.slice(start, size) for start in range(0, max(1, len(keys)), size))


@given(st.lists(st.tuples(KEYS, st.integers(1, 5)), min_size=1, max_size=4))
def test_a_streaming_join_is_a_dictionary_join(sides: list[tuple[list[str], int]]) -> None:
    cuts = list(aligned("rollout_id", *(stream(keys, size) for keys, size in sides)))
    assert cuts
    for index, (keys, _) in enumerate(sides):
        rows = [row for cut in cuts for row in cut[index].to_pylist()]
        assert rows == [{"rollout_id": key, "place": place} for place, key in enumerate(keys)]
    held = [{key for part in cut for key in part["rollout_id"].to_pylist()} for cut in cuts]
    assert sum(map(len, held)) == len({key for keys, _ in sides for key in keys}), (
        "a key was cut in two"
    )


@given(st.lists(KEYS, min_size=1, max_size=3), st.integers(1, 3))
def test_no_cut_is_larger_than_two_batches_and_the_rows_of_a_key(
    sides: list[list[str]], size: int
) -> None:
    for cut in aligned("rollout_id", *(stream(keys, size) for keys in sides)):
        for part in cut:
            counts = part["rollout_id"].value_counts().to_pylist()
            assert part.num_rows <= 2 * size + max((entry["counts"] for entry in counts), default=0)
