"""The verifiers' benchmark at a small size: all ways agree, and the table says what each costs."""

from benchmarks import verifier_speed


def test_every_way_is_measured_on_the_same_answers() -> None:
    requests = verifier_speed.countdown_requests(70)
    rates = verifier_speed.measure(
        "expression", verifier_speed.COUNTDOWN, requests, verifier_speed.loop_countdown, repeats=1
    )
    assert [rate.num_answers for rate in rates] == [70] * len(rates)
    lines = verifier_speed.table(rates).splitlines()
    assert len(lines) == 1 + len(rates) >= 3
    assert lines[1].split()[-1] == "1.00"


def test_half_of_the_mathematics_is_right() -> None:
    verdicts = verifier_speed.loop_math(verifier_speed.math_requests(16))
    assert verdicts == [True, False, True, True] * 4
