"""Judges of answers: folders that say whether an answer is right.

The exact verifier's marker is one of them.

A judge folder holds judge.json. Of kind `exact` it stands for the task's own verifier and holds
nothing else; of kind `generative` it is a policy folder beside it: a language model that goes on
after prompt, cue and answer with a word for right or a word for wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from stages.contracts.render import Renderer
from stages.contracts.verdict import EXACT, JUDGE_FILE
from stages.engines.device import exclusive_device
from stages.running.errors import REMEDY, BadInput
from stages.running.publish import read_json, write_json

GENERATIVE = "generative"
MICRO_BATCH_TOKENS = 16384
PRECISION: Literal["float32"] = "float32"
"""Whatever a round trains in, so that a judge's scores of one answer do not change with the round.
"""

ScoreAnswers = Callable[[Sequence[str], Sequence[str]], Sequence[float | None]]
"""From prompts and answers to what a judge scores each; None of the exact one."""


class Wording(NamedTuple):
    """The text a generative judge is asked with.

    What stands before an answer, and the words it may go on with.
    """

    cue: str
    right_word: str
    wrong_word: str

    def question_tokens(self, renderer: Renderer, prompt: str, answer: str) -> list[int]:
        """Tokens of prompt, cue and answer; the same in training as in judging."""
        return [
            *renderer.prompt_tokens(prompt),
            *renderer.encode(self.cue),
            *renderer.encode(answer),
        ]

    def word_tokens(self, renderer: Renderer) -> tuple[list[int], list[int]]:
        """Tokens of the word for right and of the word for wrong.

        Raises:
            BadInput: one begins with the other, so that the two do not exclude each other.
        """
        right, wrong = renderer.encode(self.right_word), renderer.encode(self.wrong_word)
        num_shared = min(len(right), len(wrong))
        if right[:num_shared] == wrong[:num_shared]:
            raise BadInput(
                f"the tokenizer writes {self.right_word!r} as {right} and {self.wrong_word!r} as "
                f"{wrong}, and a judge could not tell them apart; choose a base policy whose "
                "tokenizer has both words"
            )
        return right, wrong


def is_exact(folder: Path) -> bool:
    """Whether a judge folder stands for the task's own verifier.

    Raises:
        BadInput: it is no judge folder, or of an unknown kind.
    """
    kind = read_json(folder / JUDGE_FILE).get("kind")
    if kind not in (EXACT, GENERATIVE):
        raise BadInput(f"{folder / JUDGE_FILE}: no kind of judge is named {kind!r}; {REMEDY}")
    return kind == EXACT


def save_wording(wording: Wording, folder: Path) -> None:
    """Make a policy folder a generative judge's."""
    write_json(folder / JUDGE_FILE, {"kind": GENERATIVE, **wording._asdict()})


def load_wording(folder: Path) -> Wording:
    """The wording of a generative judge.

    Raises:
        BadInput: judge.json is missing, corrupt, or says none.
    """
    said = read_json(folder / JUDGE_FILE)
    try:
        return Wording(*(said[field] for field in Wording._fields))
    except KeyError as error:
        raise BadInput(f"{folder / JUDGE_FILE} has no {error.args[0]}; {REMEDY}") from None


@contextmanager
def open_judge(stage: str, folder: Path) -> Iterator[ScoreAnswers]:
    """Yield what scores answers as a judge of either kind does, loaded once.

    It holds the device if it needs it.

    The exact verifier's verdict is all there is: it scores nothing, None.

    Raises:
        BadInput: the folder is no judge's.
    """
    if is_exact(folder):
        yield lambda prompts, _: [None] * len(prompts)
    else:
        with exclusive_device(stage):
            yield load_judge(folder)


def load_judge(folder: Path) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """What gives P(right) of each answer to its prompt, from their texts.

    It is the generative judge in `folder` that says so.

    One forward pass over all different (prompt, answer) pairs, in micro-batches: equal pairs get
    equal scores to the last bit. The caller holds the device (`exclusive_device`).

    Raises:
        BadInput: the folder is missing, corrupt, or no generative judge.
    """
    # torch takes seconds, and rounds that `exact` judges need none of it
    from stages.engines.computing import use_threads
    from stages.engines.likelihood import ProbedPrefix, answer_logprobs
    from stages.engines.policy import load_policy
    from stages.pure.judgement import right_probability

    wording, renderer = load_wording(folder), Renderer.of_policy(folder)
    words = wording.word_tokens(renderer)
    use_threads()
    model = load_policy(folder)

    def judge(prompts: Sequence[str], answers: Sequence[str]) -> list[float]:
        pairs = sorted(set(zip(prompts, answers, strict=True)))
        questions = [wording.question_tokens(renderer, prompt, answer) for prompt, answer in pairs]
        traces = [
            ProbedPrefix(
                question[:-1],
                [len(question) - 1],
                [[question[-1], *word] for word in words],
                num_cue_tokens=1,
            )
            for question in questions
        ]
        logprobs = answer_logprobs(
            model, traces, MICRO_BATCH_TOKENS, renderer.pad_token, PRECISION, lambda _: None
        )
        scores = {
            pair: right_probability(*values[0])
            for pair, values in zip(pairs, logprobs, strict=True)
        }
        return [scores[pair] for pair in zip(prompts, answers, strict=True)]

    return judge
