"""Expectations judged without Great Expectations, which takes seconds to begin: for an audit.

What an audit asks is whether rows hold, and the first that does not. The frames, the suites and
their bounds are the gate's own, and tests hold both to the same outcomes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from stages.validate.suites import ExpectationResult, read_suite, whole_column
from stages.validate.tables import TABLES

Bounds = Mapping[str, Any]


class PlainRunner:
    """Judges tables by their suites, some rows at a time."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._found: dict[str, dict[tuple[str, str], ExpectationResult]] = {}
        self.num_rows: dict[str, int] = {}
        self._parameters = dict(parameters)

    @property
    def found(self) -> dict[str, list[ExpectationResult]]:
        """The outcome of each expectation so far, by table."""
        return {name: [*outcomes.values()] for name, outcomes in self._found.items()}

    def check_rows(self, name: str, rows: pd.DataFrame) -> None:
        """Hold some rows of a check frame against the expectations of rows."""
        self.num_rows[name] = self.num_rows.get(name, 0) + len(rows)
        self._check(name, None, rows)

    def check_column(self, name: str, column: str, rows: pd.DataFrame) -> None:
        """Hold a whole column against its expectations."""
        self._check(name, column, rows)

    def _check(self, name: str, column: str | None, rows: pd.DataFrame) -> None:
        for expectation in read_suite(name):
            if whole_column(expectation) == column:
                outcome = self._outcome(name, expectation, rows)
                found = self._found.setdefault(name, {})
                rule = outcome.type, outcome.column
                found[rule] = _together(found[rule], outcome) if rule in found else outcome

    def _outcome(
        self, table: str, expectation: Mapping[str, Any], rows: pd.DataFrame
    ) -> ExpectationResult:
        bounds = {key: self._bound(value) for key, value in expectation["kwargs"].items()}
        column = bounds.pop("column")
        present = rows[rows[column].notna()]  # an expectation says nothing of what is missing
        if expectation["type"] == UNIQUE_COUNT:
            number = present[column].nunique()
            is_held = bool(bounds["min_value"] <= number <= bounds["max_value"])
            num_bad, first = int(not is_held), {"observed_value": number}
        else:
            bad = present[RULES[expectation["type"]](present[column], bounds)]
            names = dict.fromkeys([*(key for key in TABLES[table].key if key in bad), column])
            num_bad, first = len(bad), next(iter(bad[[*names]].to_dict("records")), {})
        return ExpectationResult(
            type=expectation["type"],
            column=column,
            bounds=bounds,
            notes=expectation["meta"]["notes"],
            success=not num_bad,
            unexpected_count=num_bad,
            first=first if num_bad else None,
        )

    def _bound(self, value: Any) -> Any:
        return self._parameters[value["$PARAMETER"]] if isinstance(value, dict) else value


def _together(earlier: ExpectationResult, later: ExpectationResult) -> ExpectationResult:
    return replace(
        earlier,
        success=earlier.success and later.success,
        unexpected_count=earlier.unexpected_count + later.unexpected_count,
        first=later.first if earlier.first is None else earlier.first,
    )


def _outside(values: pd.Series, bounds: Bounds) -> pd.Series:
    low, high = bounds.get("min_value"), bounds.get("max_value")
    is_bad = pd.Series(False, values.index)
    if low is not None:
        is_bad |= ~(values >= low)
    if high is not None:
        is_bad |= ~(values <= high)
    return is_bad


def _are_no_json(values: pd.Series, bounds: Bounds) -> pd.Series:
    del bounds
    return pd.Series([_is_no_json(text) for text in values], values.index, dtype=bool)


def _is_no_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return True
    return False


UNIQUE_COUNT = "expect_column_unique_value_count_to_be_between"
RULES: Mapping[str, Callable[[pd.Series, Bounds], pd.Series]] = {
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_be_in_set": lambda values, b: ~values.isin(b["value_set"] or []),
    "expect_column_value_lengths_to_be_between": lambda values, b: _outside(values.str.len(), b),
    "expect_column_values_to_be_json_parseable": _are_no_json,
    "expect_column_values_to_be_unique": lambda values, b: values.duplicated(keep=False),
}
"""Which values break an expectation, by its type."""
