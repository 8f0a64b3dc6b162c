"""Great Expectations suites, run over a table some rows at a time.

There is one result for each expectation in the end.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stages.validate.tables import TABLES

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )

SUITES = Path(__file__).parent / "expectations"
OF_THE_WHOLE = (
    "expect_column_unique_value_count_to_be_between",
    "expect_column_values_to_be_unique",
)
"""Expectations of a column as a whole; all others are of each row by itself."""
OFFENDERS = {
    *("unexpected_list", "unexpected_index_list"),
    *("partial_unexpected_list", "partial_unexpected_index_list", "partial_unexpected_counts"),
}
"""What a result of Great Expectations lists."""
MAX_SHOWN = 20  # offenders that an outcome keeps; Great Expectations shows as many


@dataclass(frozen=True)
class ExpectationResult:
    """What became of one expectation.

    `first` is the first offending row: its key and the value found.
    """

    type: str
    column: str
    bounds: dict[str, Any]
    notes: str
    success: bool
    unexpected_count: int
    first: dict[str, Any] | None


def read_suite(table: str) -> list[dict[str, Any]]:
    """The expectations of a table's check frame, as kept in git."""
    suite: list[dict[str, Any]] = json.loads((SUITES / f"{table}.json").read_text(encoding="utf-8"))
    return suite


class SuiteRunner:
    """Judges tables by their suites, in memory, without network.

    `results` has what was found so far.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        import great_expectations as gx  # takes seconds: after the tables' own contracts

        self.results: dict[str, ExpectationSuiteValidationResult] = {}
        self.num_rows: dict[str, int] = {}
        self._parameters = dict(parameters)
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = {"globally": False}
        source = self._context.data_sources.add_pandas("round")
        # one asset for all tables: Great Expectations keeps the last frame of each
        self._rows = source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
        self._suites: dict[str, ExpectationSuite] = {}

    def check_rows(self, name: str, rows: pd.DataFrame) -> None:
        """Hold some rows of a check frame against the expectations of rows."""
        self.num_rows[name] = self.num_rows.get(name, 0) + len(rows)
        if name not in self.results:
            self.results[name] = self._run(name, None, rows)
        elif len(rows):
            results_by_rule = {_rule(entry): entry for entry in self._run(name, None, rows).results}
            for entry in self.results[name].results:
                _absorb(entry, results_by_rule[_rule(entry)])

    def check_column(self, name: str, column: str, rows: pd.DataFrame) -> None:
        """Hold a whole column against its expectations; after `judge`.

        `rows` may be those alone that matter: each value once, or the rows whose value is not
        theirs alone.
        """
        if any(whole_column(expectation) == column for expectation in read_suite(name)):
            self.results[name].results += self._run(name, column, rows).results

    def _run(
        self, table: str, column: str | None, frame: pd.DataFrame
    ) -> "ExpectationSuiteValidationResult":
        key = [column for column in TABLES[table].key if column in frame]
        # by the batch, not by a validation definition: those keep every result there has been
        result = self._rows.get_batch({"dataframe": frame}).validate(
            self._suite(table, column),
            expectation_parameters=self._parameters,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": key,
                "return_unexpected_index_query": False,
            },
        )
        for entry in result.results:
            if not entry.result:
                config = entry.expectation_config
                raise RuntimeError(
                    f"expectation {config.type} {config.kwargs} crashed: {entry.exception_info}"
                )
            _shorten(entry.result)
        return result

    def _suite(self, table: str, column: str | None) -> "ExpectationSuite":
        import great_expectations as gx

        name = f"{table} {column or 'rows'}"
        if name not in self._suites:
            wanted = [
                expectation
                for expectation in read_suite(table)
                if whole_column(expectation) == column
            ]
            self._suites[name] = self._context.suites.add(
                gx.ExpectationSuite(name, expectations=wanted)
            )
        return self._suites[name]


def whole_column(expectation: Mapping[str, Any]) -> str | None:
    """The column that an expectation is of as a whole; None where it is of rows."""
    return expectation["kwargs"]["column"] if expectation["type"] in OF_THE_WHOLE else None


def _rule(entry: "ExpectationValidationResult") -> tuple[str, str]:
    return entry.expectation_config.type, entry.expectation_config.kwargs["column"]


def _shorten(result: dict[str, Any]) -> None:
    for name in OFFENDERS & result.keys():
        result[name] = result[name][:MAX_SHOWN]


def _absorb(entry: "ExpectationValidationResult", later: "ExpectationValidationResult") -> None:
    """Make an outcome that of its rows and of those after them.

    Row numbers count from the rows they are of.
    """
    entry.success = entry.success and later.success
    totals, more = entry.result, later.result
    for name, value in more.items():
        if name in OFFENDERS:
            totals[name] = [*totals.get(name, []), *value][:MAX_SHOWN]
        elif name.endswith("_count"):
            totals[name] = totals.get(name, 0) + value
    num_present = totals["element_count"] - totals.get("missing_count", 0)
    for name, total in (
        ("_total", totals["element_count"]),
        ("_nonmissing", num_present),
        ("", num_present),
    ):
        totals[f"unexpected_percent{name}"] = (
            100 * totals["unexpected_count"] / total if total else None
        )


def expectation_results(result: "ExpectationSuiteValidationResult") -> list[ExpectationResult]:
    """The outcome of each expectation, by column and type."""
    results = [_expectation_result(entry.to_json_dict()) for entry in result.results]
    return sorted(results, key=lambda outcome: (outcome.column, outcome.type))


def _expectation_result(entry: dict[str, Any]) -> ExpectationResult:
    config, result = entry["expectation_config"], entry["result"]
    bounds = {
        key: value for key, value in config["kwargs"].items() if key not in ("batch_id", "column")
    }
    offenders = result.get(
        "partial_unexpected_index_list", [{"observed_value": result.get("observed_value")}]
    )
    return ExpectationResult(
        type=config["type"],
        column=config["kwargs"]["column"],
        bounds=bounds,
        notes=config["meta"]["notes"],
        success=entry["success"],
        unexpected_count=result.get("unexpected_count", int(not entry["success"])),
        first=None if entry["success"] else offenders[0],
    )
