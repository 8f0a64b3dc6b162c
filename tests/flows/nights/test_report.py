"""The page about a night, of records written by hand."""

from flows.nights.report import markdown

INTERVAL = {"low": -0.05, "mean": 0.1, "high": 0.25}
KEPT = {
    "night": "2026-11-24",
    "verdict": "kept",
    "round": "n20261124",
    "champion_before": "s1",
    "champion_after": "s1",
    "why": ["gain: less than 0.2", "leaks: a | b"],
    "gates": [
        {"name": "leaks", "is_passed": False, "why": "a | b", "numbers": {}},
        {
            "name": "gain",
            "is_passed": True,
            "why": "0.1",
            "numbers": {"min_gain": 0.2, "all": INTERVAL},
        },
    ],
    "drift": [
        {"name": "repeat_frac", "value": 0.123456, "low": None, "high": 0.4, "is_within": True},
        {"name": "entropy_nats", "value": None, "low": 0.05, "high": None, "is_within": False},
    ],
    "stage": None,
}


def test_a_night_that_kept_its_champion() -> None:
    assert markdown(KEPT).splitlines() == [
        "# Night 2026-11-24: kept",
        "",
        "Round `n20261124` from `s1`; champion is now `s1`",
        "- gain: less than 0.2",
        "- leaks: a | b",
        "",
        "## Gates",
        "",
        "| gate | passed | why |",
        "| --- | --- | --- |",
        "| leaks | **no** | a \\| b |",
        "| gain | yes | 0.1 |",
        "",
        "## Success at the training budget, new minus champion",
        "",
        "| level | mean | low | high |",
        "| --- | --- | --- | --- |",
        "| all | 0.1 | -0.05 | 0.25 |",
        "",
        "## Drift",
        "",
        "| what | value | at least | at most |  |",
        "| --- | --- | --- | --- | --- |",
        "| repeat_frac | 0.1235 |  | 0.4 |  |",
        "| entropy_nats |  | 0.05 |  | **outside** |",
    ]


def test_a_night_that_failed_names_the_log() -> None:
    failed = {**KEPT, "verdict": "failed", "gates": [], "drift": [], "why": ["stage x failed"]}
    page = markdown({**failed, "stage": {"log": "data/.scratch/logs/x.log"}})
    assert page.splitlines()[3:] == [
        "- stage x failed",
        "",
        "The stage's log: `data/.scratch/logs/x.log`",
    ]
