"""Every table is listed, with what it promises."""

from stages.contracts.tables.all import TABLES


def test_every_table_is_listed_with_a_key_of_its_own_columns() -> None:
    assert all(name == table.name for name, table in TABLES.items())
    for table in TABLES.values():
        assert table.key
        assert all(not table.schema.field(name).nullable for name in table.key)
        assert all(b"description" in field.metadata for field in table.schema)
