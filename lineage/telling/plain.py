"""Answers as JSON has them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from lineage.record.values import Value


def plain(answer: object) -> Value:
    """An answer as mappings and lists, its fields as keys in their order.

    A field's metadata may give the key another `name`, or have the fields of its value stand
    `inline` among those around it.
    """
    if is_dataclass(answer):
        values: dict[str, Value] = {}
        for field in fields(answer):
            value = plain(getattr(answer, field.name))
            if field.metadata.get("inline"):
                assert isinstance(value, dict)
                values |= value
            else:
                values[field.metadata.get("name", field.name)] = value
        return values
    if isinstance(answer, Mapping):
        return {str(key): plain(value) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [plain(value) for value in answer]
    assert answer is None or isinstance(answer, bool | int | float | str)
    return answer
