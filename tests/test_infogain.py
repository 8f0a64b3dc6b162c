"""From probes to gains, estimator by estimator, each by hand."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fixtures.rows import row
from stages.contracts.params.base import variants
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.tables.probes import PROBES
from stages.infogain import gains_of

Row = dict[str, Any]
Rows = list[Row]


def boundary(
    index: int,
    estimator: str,
    answers: Sequence[str] = (),
    logprobs: Sequence[float] = (),
    **more: Any,
) -> Row:
    """A boundary of rollout `r`, probed by these answers."""
    probed = {"answers": list(answers), "answer_logprobs": list(logprobs)}
    return row(PROBES, rollout_id="r", boundary_index=index, estimator=estimator, **probed, **more)


def gains(
    rows: Rows, rewards: Mapping[int, Sequence[float]] | None = None, is_gated: bool = False
) -> Rows:
    place = {row["boundary_index"]: place for place, row in enumerate(rows)}
    judged = {place[index]: np.array(values, float) for index, values in (rewards or {}).items()}
    probe = settings(rows[0]["estimator"], is_gated)
    return gains_of(pa.Table.from_pylist(rows, PROBES.schema), judged, probe).to_pylist()


def settings(estimator: str, is_gated: bool = False) -> Probe:
    """An estimator, whatever else it asks for."""
    chosen = variants(Probe)[estimator]
    return chosen.model_construct(gate_by_success=is_gated, boundary_frac=None)


def column(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows]


@pytest.mark.parametrize("estimator", ["set_likelihood", "answer_likelihood"])
def test_known_answers_give_probability_and_nats(estimator: str) -> None:
    log_success = [math.log(0.1), math.log(0.4), math.log(0.2)]
    rows = gains([boundary(j, estimator, ["7"], [value]) for j, value in enumerate(log_success)])
    assert column(rows, "progress") == pytest.approx([0.3, -0.2])
    assert column(rows, "info_gain_nats") == pytest.approx([math.log(4), math.log(0.5)])
    assert column(rows, "stderr") == [0, 0]
    assert column(rows, "num_judged_after") == [1, 1]
    assert column(rows, "is_carried") == [False, False]


def sampled(
    index: int, estimator: str = "forced_answer", answers: Sequence[str] = ("1", "2", "2", "3")
) -> dict[str, Any]:
    return boundary(index, estimator, answers)


def test_forced_answers_give_a_share_and_its_error() -> None:
    rows = gains([sampled(0), sampled(1)], {0: [0, 0, 1, 0], 1: [1, 1, 0, np.nan]})
    [row] = rows
    assert (row["success_before"], row["success_after"]) == pytest.approx((1 / 4, 2 / 3))
    assert (row["num_judged_before"], row["num_judged_after"]) == (4, 3)
    assert row["stderr"] == pytest.approx(math.sqrt(2 * 4 / (4 * 5 * 6) + 3 * 2 / (3 * 4 * 5)))
    assert row["info_gain_nats"] is None


def test_partial_credit_gives_a_mean_and_its_own_error() -> None:
    [gain] = gains([sampled(0), sampled(1)], {0: [0.5, 0.5, 0.5, 0.5], 1: [1, 0.5, 0, math.nan]})
    assert (gain["success_before"], gain["success_after"], gain["num_judged_after"]) == (
        0.5,
        0.5,
        3,
    )
    assert gain["stderr"] == pytest.approx(math.sqrt(0.5 / 5 / 4 + 1 / 4 / 3), abs=1e-7)


def test_a_boundary_not_probed_has_the_success_of_the_last_one_that_was() -> None:
    rows = gains(
        [sampled(0), sampled(3), sampled(4)], {0: [0, 0, 0, 1], 3: [1, 1, 1, 1], 4: [1, 1, 0, 0]}
    )
    assert column(rows, "success_after") == pytest.approx([0.25, 0.25, 1.0, 0.5])
    assert column(rows, "progress") == pytest.approx([0, 0, 0.75, -0.5])
    assert sum(column(rows, "progress")) == pytest.approx(0.5 - 0.25, abs=1e-15)
    assert column(rows, "num_judged_before") == [4, 0, 0, 4]
    assert column(rows, "num_judged_after") == [0, 0, 4, 4]
    assert column(rows, "is_carried") == [True, True, True, False]
    one, all_four, two = (right / (4 * 5 * 6) for right in (2 * 4, 5, 3 * 3))
    assert column(rows, "stderr") == pytest.approx(
        [0, 0, math.sqrt(one + all_four), math.sqrt(all_four + two)]
    )


def test_a_boundary_that_lost_its_verifier_is_null_and_not_bridged() -> None:
    rows = gains(
        [sampled(0), sampled(1), sampled(2)], {0: [1, 1, 1, 1], 1: [np.nan] * 4, 2: [0, 0, 0, 0]}
    )
    assert column(rows, "progress") == [None, None]
    assert column(rows, "stderr") == [None, None]
    assert column(rows, "is_carried") == [False, False]
    assert column(rows, "num_judged_after") == [0, 4]


def test_entropy_falls_by_hand_and_is_gated() -> None:
    """From four answers at odds to one: 2 ln 2 + 3/8, which counts as far as that one is right."""
    rows = [
        sampled(0, "answer_entropy", ["1", "2", "3", "4"]),
        sampled(1, "answer_entropy", ["9 ", "9", " 9", "9"]),
    ]
    fall = 2 * math.log(2) + 3 / 8
    for share in (0.0, 1.0):
        rewards = {0: [0, 0, 0, 0], 1: [share] * 4}
        [plain], [gated] = gains(rows, rewards), gains(rows, rewards, is_gated=True)
        assert plain["info_gain_nats"] == pytest.approx(fall)
        assert gated["info_gain_nats"] == pytest.approx(fall * share)
        assert gated["progress"] == plain["progress"] == share


def test_a_critics_values_are_success() -> None:
    rows = gains([boundary(j, "critic", value=value) for j, value in enumerate([0.25, 0.75, 0.5])])
    assert column(rows, "progress") == pytest.approx([0.5, -0.25])
    assert column(rows, "stderr") == [0, 0]
    assert column(rows, "num_judged_after") == [0, 0]
    assert column(rows, "info_gain_nats") == [None, None]


def test_a_rollout_without_thinking_has_no_gains() -> None:
    assert gains([sampled(0)], {0: [1, 0, 0, 0]}) == []
    assert gains([boundary(0, "critic", value=0.5)]) == []


def test_a_loss_is_not_clipped() -> None:
    [row] = gains([sampled(0), sampled(1)], {0: [1, 1, 1, 1], 1: [0, 0, 0, 0]})
    assert row["progress"] == -1


def test_rollouts_together_are_each_by_itself() -> None:
    """Whatever their number of boundaries and answers, to the last bit."""
    rng = np.random.default_rng(3)
    rollouts = []
    for number in range(40):
        num_answers = int(rng.integers(1, 20))
        rows = [
            boundary(
                index,
                "set_likelihood",
                ["7"] * num_answers,
                rng.uniform(-9, 0, num_answers).tolist(),
            )
            for index in range(int(rng.integers(1, 6)))
        ]
        rollouts.append([row | {"rollout_id": f"r{number:02d}"} for row in rows])
    together = gains([row for rows in rollouts for row in rows])
    assert together == [gain for rows in rollouts for gain in gains(rows)]
    assert len({row["rollout_id"] for row in together}) > 20
