"""The page: right numbers, equal bytes, hostile text kept as text, and a real browser at peace."""

import copy
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fixtures.checkouts import ROOT
from stages.contracts.params.whole import load
from stages.figures.looks import looks
from stages.report import __main__ as report
from stages.report import panels
from stages.running.errors import BadInput
from tests.browser import Browser
from tests.world import (
    CONTENTS,
    HOSTILE,
    REWARDS,
    SILENT,
    World,
    make_world,
    write_exam,
    write_json,
    write_round,
)

SECTIONS = [
    "headline",
    "budget",
    "differences",
    "skills",
    "information",
    "training",
    "rollouts",
    "lineage",
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """One run of the report, for tests that only look."""
    world = make_world(tmp_path_factory.mktemp("written"))
    return world, world.report()


class Elements(HTMLParser):
    """What a page is made of: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def test_measures_are_those_computed_by_hand(world: World) -> None:
    measures = report.measure(report.read_round(world.data / "rounds/i1"))
    progress = np.array([0.5, -0.25, 0.25, 0.0])
    assert measures == {
        "reward": pytest.approx(2 / 3),
        "thinking_tokens": pytest.approx((4 + 4 + 2 + 0) / 4),
        "one_outcome_frac": 0.5,
        "forced_frac": 0.25,
        "unended_frac": 0.25,
        "repeat_frac": pytest.approx(1 / 5),
        "false_positive_frac": pytest.approx(1 / 3),
        "false_negative_frac": 0.0,
        "judge_agreement_frac": None,
        "noise_frac": pytest.approx(0.01 / progress.var(ddof=1), rel=1e-6),
    }


def test_points_weigh_problems_alike_and_count_rollouts(world: World) -> None:
    settings = load(world.params).evaluate
    course = report.read_course(
        world.data / "rounds/i1", world.data / "metrics/updates/i1.json", settings
    )
    assert [(p.segment_index, p.mean, p.num_rollouts) for p in course.success] == [
        (0, 0.25, 2),
        (1, 0.625, 2),
        (2, 0.125, 2),
    ]
    assert [(p.segment_index, p.mean, p.num_rollouts) for p in course.progress] == [
        (0, 0.375, 2),
        (1, -0.125, 2),
    ]


def test_the_last_information_round_is_shown(world: World) -> None:
    assert report.shown_round(load(world.params)) == "i2"
    world.edit_params(
        lambda raw: [entry.update(recipe="outcome") for entry in raw["rounds"].values()]
    )
    assert report.shown_round(load(world.params)) == "o1"


def test_a_judge_is_held_against_the_verifier(world: World) -> None:
    data = report.read_round(world.data / "rounds/i1")
    scores = data.scores.assign(
        judge_score=[0.9, 0.6, 0.4, 0.3], verdict=["correct", "incorrect", "incorrect", "correct"]
    )
    assert report.measure(data._replace(scores=scores))["judge_agreement_frac"] == 0.5


def test_what_samples_verdicts_and_memory_amount_to_is_told(written: tuple[World, str]) -> None:
    text = " ".join(Elements(written[1]).text.split())
    assert "One of k right solid, majority of k dashed" in text
    assert "Success by length of thought" in text
    assert "To train next, by each exam:" in text
    assert "fails most" in text
    assert "False self-verdicts: misses called right solid, hits called wrong dashed" in text


def test_bytes_do_not_depend_on_the_process_or_the_place(tmp_path: Path) -> None:
    pages = []
    for place, hash_seed in (("here", "1"), ("there", "2")):
        world = make_world(tmp_path / place)
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in world.arguments.items()]
        command = [sys.executable, "-m", "stages.report", *flags]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        pages.append([(world.out / name).read_bytes() for name in ("report.html",)])
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0][0]
    assert not re.search(rb"\b20\d\d-\d\d-\d\d\b", pages[0][0])


def test_text_of_models_and_problems_stays_text(written: tuple[World, str]) -> None:
    page = Elements(written[1])
    assert HOSTILE in page.text
    assert "<img src=x onerror=alert(q0)>" in page.text
    assert not {tag for tag, _ in page.elements} & {"script", "img"}
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on")
    ]


def test_nothing_is_loaded(written: tuple[World, str]) -> None:
    page = Elements(written[1])
    assert not {tag for tag, _ in page.elements} & {
        "link",
        "iframe",
        "object",
        "embed",
        "audio",
        "video",
        "image",
    }
    for tag, attributes in page.elements:
        assert not set(attributes) & {"src", "srcset", "background", "action"}, tag
        targets = [attributes[name] for name in ("href", "xlink:href") if name in attributes]
        assert all(target.startswith("#") for target in targets), targets
    assert "@import" not in written[1]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", written[1]))


def test_every_link_within_the_page_resolves_and_no_id_comes_twice(
    written: tuple[World, str],
) -> None:
    attributes = [attributes for _, attributes in Elements(written[1]).elements]
    ids = [a["id"] for a in attributes if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a[name][1:] for a in attributes for name in ("href", "xlink:href") if name in a}
    assert targets | set(re.findall(r"url\(#([^)]*)\)", written[1])) <= set(ids)


def test_sections_come_in_order_each_with_how_to_read_it(written: tuple[World, str]) -> None:
    assert re.findall(r'<section id="(\w+)">', written[1]) == SECTIONS
    assert len(re.findall(r'</h2>\s*<p class="how">', written[1])) == len(SECTIONS)


def test_tokens_that_do_not_add_up_are_shown(world: World) -> None:
    assert "NOT equal" not in world.report()
    write_round(world, "i2", "i1", CONTENTS, lost_tokens=1)
    assert world.report().count("NOT equal") == 1


def test_a_single_initial_policy_is_enough(world: World) -> None:
    world.edit_params(lambda raw: raw.update(rounds={}, exams={"r0": {"judge": "exact"}}))
    shutil.rmtree(world.data / "rounds")
    assert world.compare() == {}
    page = world.report()
    assert re.findall(r'<section id="(\w+)">', page) == SECTIONS
    assert "nothing to compare" in page
    assert "No round has been trained" in page


def test_two_initial_policies_without_rounds_are_compared(world: World) -> None:
    def edit(raw: dict[str, Any]) -> None:
        exams = {name: {"judge": "exact"} for name in ("r0", "i2")}
        raw.update(
            rounds={},
            exams=exams,
            inits={"r0": raw["inits"]["r0"], "i2": copy.deepcopy(raw["inits"]["r0"])},
        )

    world.edit_params(edit)
    shutil.copy(world.data / "metrics/sft/r0.json", world.data / "metrics/sft/i2.json")
    assert set(world.compare()) == {"i2_minus_r0"}
    assert "i2 − r0" in world.report()


def test_a_text_task_without_claims_or_known_progress_is_shown(world: World) -> None:
    for name, parent in (("i1", "r0"), ("i2", "i1"), ("o1", "r0")):
        write_round(world, name, parent, SILENT)
    page = world.report()
    assert "No progress is known" in page
    assert "No round has rollouts with known progress" in page
    assert "False self-verdicts" not in page
    assert "Noise in progress" not in page
    assert "Groups with one outcome" in page


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("report/comparisons.json", "comparisons.json is missing"),
        ("metrics/exams/i2.json", "i2.json is missing"),
        ("metrics/updates/o1.json", "o1.json is missing"),
        ("metrics/sft/r0.json", "r0.json is missing"),
        ("rounds/i1/gains.parquet", "table gains"),
        ("policies/i1/tokenizer.json", "tokenizer.json is missing"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(
    missing: str, named: str, world: World
) -> None:
    gone = world.data / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(BadInput, match=named):
        world.report()
    assert not world.out.exists()


def test_metrics_without_a_number_are_refused(world: World) -> None:
    write_json(world.data / "metrics/updates/i1.json", {"tokens": {}})
    with pytest.raises(BadInput, match=r"i1.json has no entropy_nats.first"):
        world.report()


def test_comparisons_of_other_policies_are_refused(world: World) -> None:
    world.edit_params(lambda raw: raw["exams"].update(i1={"judge": "exact"}))
    shutil.copy(world.data / "metrics/exams/i2.json", world.data / "metrics/exams/i1.json")
    with pytest.raises(BadInput, match=r"comparisons.json has no i1_minus_r0"):
        world.report()


def test_a_training_budget_that_was_not_examined_is_refused(world: World) -> None:
    world.edit_params(lambda raw: raw["report"].update(training_budget_tokens=9))
    with pytest.raises(BadInput, match=r"no budget 9; choose from \[0, 8, 16\]"):
        world.report()


def test_metrics_of_other_budgets_are_refused(world: World) -> None:
    world.edit_params(lambda raw: raw["exam"].update(budgets_tokens=[0, 8]))
    with pytest.raises(BadInput, match="budgets"):
        world.report()


def test_metrics_of_other_temperatures_are_refused(world: World) -> None:
    world.edit_params(lambda raw: raw["exam"].update(temperatures=[1.0, 0.7]))
    named = r"r0.json, all: not of exam.temperatures \[1.0, 0.7\]; run `dvc repro`"
    with pytest.raises(BadInput, match=named):
        world.report()


def test_every_success_says_its_temperature(world: World) -> None:
    """The init at its best, colder, is the baseline; the others are best at 1."""
    write_exam(world, "r0", REWARDS["r0"], colder=REWARDS["i2"], best=0.35)
    world.compare()
    text = " ".join(Elements(world.report()).text.split())
    assert "75.0% [25.0%, 100.0%], held-out, at temperature 0.35" in text
    assert "i2 − r00.0 points, [0.0, 0.0], held-out, i2 at 1.0, r0 at 0.35" in text
    assert "All problems: r0 at 0.35, i2 at 1.0, o1 at 1.0" in text
    assert "Success by temperature, at 8 tokens" in text
    assert "Both policies at one temperature" in text


def test_a_temperature_panel_by_hand(world: World) -> None:
    metrics = report.read_exams(world.data / "metrics/exams", load(world.params))
    drawn = panels.temperature_panels(load(world.params), metrics)
    assert [panel.title for panel in drawn] == ["All problems", "Difficulty 3", "Difficulty 10"]
    assert all('aria-label="held-out success by sampling temperature"' in p.svg for p in drawn)
    assert panels.at_temperatures(metrics, "all") == "at temperature 1.0"


def test_one_temperature_is_no_curve(world: World) -> None:
    world.edit_params(lambda raw: raw["exam"].update(temperatures=[1.0]))
    for policy, rewards in REWARDS.items():
        write_exam(world, policy, rewards)
    world.compare()
    page = world.report()
    assert "Success by temperature" not in page
    assert "Both policies at one temperature" not in page
    assert "chosen on reserved problems" not in page


def test_the_browser_notices_errors_and_requests(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text(
        '<!DOCTYPE html><title>loud</title><img src="http://example.com/a.png"><script>nothing()</script>'
    )
    _, console, requests = browser.open(page, "--dump-dom")
    assert any("nothing is not defined" in line for line in console)
    assert "http://example.com/a.png" in requests


def test_a_browser_shows_the_page_without_error_or_request(
    browser: Browser, written: tuple[World, str], tmp_path: Path
) -> None:
    world = written[0]
    dom, console, requests = browser.open(world.arguments["page"], "--dump-dom")
    assert [name for name in SECTIONS if f'<section id="{name}">' in dom] == SECTIONS
    assert dom.count("<svg") >= 15
    assert "<script" not in dom
    assert console == []
    assert requests == []


@pytest.mark.parametrize("width", [1280, 500])
def test_figures_and_segments_are_drawn_within_the_width(
    width: int, browser: Browser, written: tuple[World, str], tmp_path: Path
) -> None:
    world, shot = written[0], tmp_path / "shot.png"
    browser.open(world.arguments["page"], f"--screenshot={shot}", f"--window-size={width},9000")
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape[1] == width
    assert pixels.std() > 10
    everything = load(world.params)
    for look in looks(everything.inits, everything.rounds).values():
        color = [int(look.color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (abs(pixels - color).max(axis=2) <= 2).sum() > 50, look
    margin = pixels[:, -8:].reshape(-1, 3)
    assert (margin == margin[0]).all(), "something sticks out of the page"
