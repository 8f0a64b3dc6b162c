"""A table's promise by hand: columns, nulls, and keys that rise."""

import pyarrow as pa
import pytest

from stages.contracts.storage.contract import (
    INT,
    TEXT,
    Conversion,
    check_rows,
    check_schema,
    column,
    define,
    part_name,
)
from stages.running.errors import BadInput

PETS = define(
    "pets",
    "one pet",
    ["owner", "number"],
    column("owner", TEXT, "who feeds it"),
    column("number", INT, "0-based"),
    column("name", TEXT, "null where it has none", nullable=True),
    conversions=[Conversion("number", ("legs",), lambda rows: rows["legs"])],
)
NOTHING = PETS.schema.empty_table()


def pets(*rows: tuple[str | None, int, str | None]) -> pa.Table:
    named = [dict(zip(PETS.schema.names, values, strict=True)) for values in rows]
    return pa.Table.from_pylist(named, PETS.schema)


def test_a_table_is_its_columns() -> None:
    assert PETS.schema.names == ["owner", "number", "name"]
    assert [field.nullable for field in PETS.schema] == [False, False, True]
    assert PETS.schema.field("owner").metadata == {b"description": b"who feeds it"}


def test_a_part_says_how_many_there_are() -> None:
    assert part_name(3, 12) == "part-00003-of-00012.parquet"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["owner", "name"], r"columns missing \['number'\] and columns unknown \[\]"),
        (["owner", "number", "age"], r"columns missing \[\] and columns unknown \['age'\]"),
        (["number", "owner", "name"], "has column number where owner belongs"),
        (["owner", "number", "name", "owner"], r"1 column\(s\) twice, \['owner'\]"),
    ],
)
def test_other_columns_are_refused(names: list[str], message: str) -> None:
    kinds = {"owner": TEXT, "number": INT, "name": TEXT, "age": INT}
    with pytest.raises(BadInput, match=f"table pets: here (has )?{message}"):
        check_schema(pa.schema([(name, kinds[name]) for name in names]), PETS, "here")


def test_another_type_is_refused() -> None:
    stored = pa.schema([("owner", TEXT), ("number", pa.int64()), ("name", TEXT)])
    with pytest.raises(BadInput, match="pets, column number: here holds int64, not int32"):
        check_schema(stored, PETS, "here")


def test_older_columns_pass_where_a_conversion_reads_them() -> None:
    check_schema(pa.schema([("owner", TEXT), ("number", INT)]), PETS, "here")
    older = pa.schema([("owner", TEXT), ("legs", INT), ("name", TEXT)])
    check_schema(older, PETS, "here")
    assert PETS.conversions_of(older.names).keys() == {"number"}
    assert not PETS.conversions_of([*older.names, "number"])


def test_rows_in_order_pass_also_behind_others() -> None:
    check_rows(pets(("a", 0, None), ("a", 1, "Rex"), ("b", 0, None)), PETS, "here", NOTHING, 0)
    check_rows(pets(("b", 1, None)), PETS, "here", pets(("b", 0, None)), 3)


@pytest.mark.parametrize(
    ("rows", "before", "message"),
    [
        ([("a", 1, None), (None, 2, None)], [], "column owner: 1 null .* first at row 5"),
        ([("a", 1, None), ("a", 1, None)], [], r"owner\+number: 1 duplicate key.* first at row 5"),
        ([("a", 0, None)], [("a", 0, None)], r"owner\+number: 1 duplicate key.* first at row 4"),
        ([("a", 9, None)], [("b", 0, None)], r"1 row\(s\) out of the order.*'owner': 'a'"),
    ],
)
def test_rows_that_break_the_promise_are_named(
    rows: list[tuple[str | None, int, str | None]],
    before: list[tuple[str | None, int, str | None]],
    message: str,
) -> None:
    with pytest.raises(BadInput, match=message):
        check_rows(pets(*rows), PETS, "here", pets(*before), 4)
