"""Rates of wrong verdicts: none now, and what they were stands in the cases."""

import pytest

from benchmarks.grading_rates import FILES, Rates, before, main, now, rates, read_cases


def test_rates_are_of_their_own_kind() -> None:
    cases = [
        {"expected": right, "before": said}
        for right, said in (
            ("correct", "incorrect"),
            ("correct", "correct"),
            ("incorrect", "correct"),
            ("incorrect", "unparsable"),
            ("incorrect", "timeout"),
        )
    ]
    assert rates(cases, before) == Rates(num_paid=1, num_wrong=3, num_refused=1, num_right=2)


@pytest.mark.parametrize("name", FILES)
def test_no_case_is_judged_wrongly_now(name: str) -> None:
    found = rates(read_cases(name), now)
    assert (found.num_paid, found.num_refused) == (0, 0)
    assert min(found.num_wrong, found.num_right) > 20


def test_every_fault_was_one() -> None:
    found = rates(read_cases("faults"), before)
    assert (found.num_paid, found.num_refused) == (found.num_wrong, found.num_right)


def test_the_table_has_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    table = capsys.readouterr().out
    assert all(case["kind"] in table for name in FILES for case in read_cases(name))
