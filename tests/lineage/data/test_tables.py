"""Tables of any commit: what has changed in their columns, filled in; and what is no table."""

from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineage.data.tables import FILLERS, PartFile, numbers, open_part, writer
from lineage.record.errors import AuditError
from stages.contracts.tables.all import TABLES

SPAN = {
    "rollout_id": ["a", "b", "c"],
    "completion_tokens": [[1, 2, 3, 4], [5], []],
    "forced_start": pa.array([1, 1, 0], pa.int32()),
    "forced_end": pa.array([3, 1, 0], pa.int32()),
}
ORIGIN = {
    "rollout_id": ["a", "b", "c"],
    "completion_tokens": [[1, 2, 3, 4], [5], []],
    "token_origin": pa.array([[0, 1, 2, 0], [0], []], pa.list_(pa.int8())),
}


def part_of(columns: dict, rows_per_group: int = 2) -> PartFile:
    stream = BytesIO()
    pq.write_table(pa.table(columns), stream, row_group_size=rows_per_group)
    return open_part(stream, "data/t.parquet")


@pytest.mark.parametrize("columns", [SPAN, ORIGIN], ids=["span", "origin"])
def test_tokens_not_sampled_are_counted_by_span_or_by_origin(columns: dict) -> None:
    table = part_of(columns).table(["rollout_id", "completion_tokens", "num_unsampled_tokens"])
    assert table.column_names == ["rollout_id", "completion_tokens", "num_unsampled_tokens"]
    assert table["completion_tokens"].to_pylist() == [4, 1, 0]
    assert table["num_unsampled_tokens"].to_pylist() == [2, 0, 0]
    assert table["num_unsampled_tokens"].type == pa.int32()


@pytest.mark.parametrize("columns", [SPAN, ORIGIN], ids=["span", "origin"])
def test_an_empty_table_has_its_columns(columns: dict) -> None:
    part = part_of({name: pa.array(values)[:0] for name, values in columns.items()})
    table = part.table(["completion_tokens", "num_unsampled_tokens"])
    assert table.num_rows == 0
    assert table.column_names == ["completion_tokens", "num_unsampled_tokens"]


def test_a_ledger_may_count_a_cue_and_an_environment_apart() -> None:
    together = part_of({"num_forced_tokens": [3, 4]})
    apart = part_of({"num_cue_tokens": [1, 2], "num_environment_tokens": [2, 2]})
    for part in (together, apart):
        assert part.table(["num_forced_tokens"])["num_forced_tokens"].to_pylist() == [3, 4]


def test_what_was_interpolated_is_carried() -> None:
    table = part_of({"is_interpolated": [True, False]}).table(["is_carried"])
    assert table["is_carried"].to_pylist() == [True, False]


def test_a_column_that_came_later_is_null_before() -> None:
    table = part_of({"reward": [1.0, 0.0]}).table(["judge_score", "reward"])
    assert table["judge_score"].to_pylist() == [None, None]
    assert table["reward"].to_pylist() == [1.0, 0.0]


def test_exams_had_one_temperature_before_they_said_which() -> None:
    older = part_of({"sample_index": [0, 1]}).table(["sample_index", "temperature"])
    assert older["temperature"].to_pylist() == [1.0, 1.0]
    assert older["temperature"].type == pa.float32()
    newer = part_of({"sample_index": [0, 1], "temperature": [0.5, 0.25]})
    assert newer.table(["temperature"])["temperature"].to_pylist() == [0.5, 0.25]


def test_what_is_filled_with_null_may_be_null() -> None:
    """By the schemas: a column that no table may lack must not be made up."""
    for filler in FILLERS:
        if not filler.sources:
            named = [table for table in TABLES.values() if filler.column in table.schema.names]
            assert named
            assert all(table.schema.field(filler.column).nullable for table in named)


def test_other_columns_must_be_there() -> None:
    message = r"data/t\.parquet lacks 2 column\(s\), first status; docs/tables\.md has all"
    with pytest.raises(AuditError, match=message):
        part_of(SPAN).table(["rollout_id", "status", "reward"])


def test_what_is_no_parquet_is_said_to_be_none() -> None:
    with pytest.raises(AuditError, match=r"data/t\.parquet is no Parquet table"):
        open_part(BytesIO(b"PAR1, but no table"), "data/t.parquet")


def test_batches_are_of_the_columns_asked_for_in_their_order() -> None:
    (batch,) = part_of(SPAN, rows_per_group=3).batches(["completion_tokens", "rollout_id"])
    assert batch.schema.names == ["completion_tokens", "rollout_id"]
    assert batch["completion_tokens"].to_pylist() == SPAN["completion_tokens"]


def test_numbers_may_not_be_missing() -> None:
    assert numbers(pa.array([1, 2])).tolist() == [1, 2]
    with pytest.raises(AuditError, match=r"1 value\(s\) of a table are missing"):
        numbers(pa.array([1, None]))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2]})
    with writer(tmp_path / "t.parquet", table.schema) as file:
        file.write_table(table)
    with (tmp_path / "t.parquet").open("rb") as stream:
        part = open_part(stream, "t.parquet")
        assert (part.num_rows, part.schema.names) == (2, ["a"])
        assert part.column("a").to_pylist() == [1, 2]
