"""Judges: an exact one is a marker, a generative one compares its words for right and wrong."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.contracts.render import Renderer
from stages.engines import judging
from stages.engines.judging import (
    EXACT,
    JUDGE_FILE,
    Wording,
    is_exact,
    load_judge,
    load_wording,
    save_wording,
)
from stages.engines.new_policy import new_policy
from stages.engines.policy import WEIGHTS_FILE, load_policy, save_policy
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.text_format import TextFormat
from tests.engines.countdown_policy import SHAPE, TASK

PROMPT = "<bos> 3 5 7 T36 :"
ANSWERS = ["7 + 5 12 12 * 3 36", "7 - 5 2 3 * 2 6", "", "7 + 5"]
TOLERANCE = 1e-4


def make_judge(folder: Path, renderer: Renderer, wording: Wording) -> Path:
    """A judge with random weights, large enough that its opinions differ."""
    model = new_policy(SHAPE, renderer, {}, seed=3)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(8)
    save_policy(model, renderer, folder)
    save_wording(wording, folder)
    return folder


@pytest.fixture(scope="module")
def countdown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    form = load_format(TASK)
    folder = tmp_path_factory.mktemp("judges") / "g1"
    return make_judge(folder, Renderer(form.tokenizer([])), Wording(form.cue, *form.judge_words))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    form = TextFormat(280)
    folder = tmp_path_factory.mktemp("judges") / "g2"
    return make_judge(
        folder, Renderer(form.tokenizer(["How much?"])), Wording(form.cue, *form.judge_words)
    )


def word_logprob(folder: Path, prompt: str, answer: str, word: str) -> float:
    """Log-probability of a whole word behind prompt, cue and answer, by a plain pass of its own."""
    renderer, wording = Renderer.of_policy(folder), load_wording(folder)
    question = [token for part in (prompt, wording.cue, answer) for token in renderer.encode(part)]
    said = renderer.encode(word)
    with torch.no_grad():
        logits = load_policy(folder)(
            input_ids=torch.tensor([question + said]), use_cache=False
        ).logits[0]
    logprobs = logits.log_softmax(-1)
    return sum(logprobs[len(question) + at - 1, token].item() for at, token in enumerate(said))


def expected(folder: Path, prompt: str, answers: Sequence[str]) -> list[float]:
    """P(right) as defined: the word for right over both words."""
    wording = load_wording(folder)
    scores = []
    for answer in answers:
        right = np.exp(word_logprob(folder, prompt, answer, wording.right_word))
        scores.append(
            right / (right + np.exp(word_logprob(folder, prompt, answer, wording.wrong_word)))
        )
    return scores


def log_odds(scores: Sequence[float]) -> np.ndarray:
    return np.log(np.array(scores) / (1 - np.array(scores)))


def test_a_score_is_the_share_of_the_word_for_right(countdown: Path) -> None:
    scores = load_judge(countdown)([PROMPT] * 4, ANSWERS)
    assert scores == pytest.approx(expected(countdown, PROMPT, ANSWERS), abs=TOLERANCE)
    assert np.ptp(scores) > 100 * TOLERANCE


def test_words_of_several_tokens_count_as_wholes(text: Path) -> None:
    renderer, answers = Renderer.of_policy(text), ["42", "x", ""]
    right, wrong = load_wording(text).word_tokens(renderer)
    assert len(right) > 1
    assert len(right) != len(wrong)
    odds = log_odds(load_judge(text)(["<bos>How much?\n"] * 3, answers))
    assert odds == pytest.approx(
        log_odds(expected(text, "<bos>How much?\n", answers)), abs=TOLERANCE
    )
    assert np.ptp(odds) > 100 * TOLERANCE


def test_equal_pairs_score_equally_to_the_last_bit_whatever_stands_beside_them(
    countdown: Path,
) -> None:
    once = load_judge(countdown)([PROMPT] * 4, ANSWERS)
    answers = [*ANSWERS[::-1], *ANSWERS, *ANSWERS]
    assert load_judge(countdown)([PROMPT] * 12, answers) == [*once[::-1], *once, *once]


def test_micro_batches_change_nothing_but_the_last_digits(
    countdown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = load_judge(countdown)([PROMPT] * 4, ANSWERS)
    monkeypatch.setattr(judging, "MICRO_BATCH_TOKENS", 1)
    assert load_judge(countdown)([PROMPT] * 4, ANSWERS) == pytest.approx(once, abs=1e-6)


def test_the_answer_counts_and_so_does_the_prompt(countdown: Path) -> None:
    prompts = [PROMPT, PROMPT.replace("T36", "T6")]
    one, other = load_judge(countdown)(prompts, ANSWERS[:1] * 2)
    assert abs(one - other) > 10 * TOLERANCE


def test_nothing_to_judge_is_no_score(countdown: Path) -> None:
    assert load_judge(countdown)([], []) == []


def test_the_wording_of_training_is_kept_with_the_judge(countdown: Path) -> None:
    assert not is_exact(countdown)
    assert load_wording(countdown) == Wording("#", "=", "<")


def test_an_exact_judge_is_a_marker_without_weights(tmp_path: Path) -> None:
    (tmp_path / JUDGE_FILE).write_text(json.dumps({"kind": EXACT}))
    assert is_exact(tmp_path)
    with judging.open_judge("score", tmp_path) as rate:
        assert rate([PROMPT] * 2, ANSWERS[:2]) == [None, None]
    with pytest.raises(BadInput, match="has no cue"):
        load_judge(tmp_path)([PROMPT], ANSWERS[:1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"judge\.json is missing"),
        ("{", r"judge\.json is corrupt"),
        ("{}", r"no kind of judge is named None"),
        ('{"kind": "learned"}', r"no kind of judge is named 'learned'"),
    ],
)
def test_what_is_no_judge_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / JUDGE_FILE).write_text(content)
    with pytest.raises(BadInput, match=message):
        is_exact(tmp_path)


def test_a_judge_without_its_weights_is_refused(countdown: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(countdown, tmp_path / "g1"))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(BadInput, match="is missing"):
        load_judge(folder)([PROMPT], ANSWERS[:1])


@pytest.mark.parametrize(("right", "wrong"), [("yes", "no"), ("=", "="), ("=", "= <"), ("", "=")])
def test_words_that_do_not_exclude_each_other_are_refused(right: str, wrong: str) -> None:
    """`yes` and `no` are both unknown to Countdown's tokenizer; `=` is how `= <` begins."""
    renderer = Renderer(load_format(TASK).tokenizer([]))
    with pytest.raises(BadInput, match="could not tell them apart"):
        Wording("#", right, wrong).word_tokens(renderer)
