"""A verifier that params.yaml chooses: what it may say, and what is refused before it is asked."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.checkouts import PROFILES
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import load
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.task import Problem
from stages.verifiers.isolated import Submission, open_verifiers, verify
from stages.verifiers.registry import load_verifier

METADATA = {"numbers": [3, 5], "target": 8}
Chosen = Callable[..., TaskParams]


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chosen:
    """The tiny profile's task, judged by a class with this body."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(body: str, sha256: str | None = None, name: str = "Mine") -> TaskParams:
        module = f"mine_{hashlib.sha256(body.encode()).hexdigest()[:8]}"
        text = f"class Mine:\n{body}\n"
        (tmp_path / f"{module}.py").write_text(text)
        digest = sha256 or hashlib.sha256(text.encode()).hexdigest()
        verifier = {"source": f"{module}:{name}", "sha256": digest}
        task = load(PROFILES / "tiny.yaml").task
        return type(task).model_validate({**task.model_dump(), "verifier": verifier})

    return of


SAYS = """
    def verify(self, metadata, answer):
        return {"yes": True, "no": False}.get(answer)
"""
ATTEMPTS = """
    def verify_attempt(self, metadata, segment):
        return None if segment == "?" else segment == str(metadata["target"])
"""


def test_it_says_right_wrong_or_unreadable(chosen: Chosen) -> None:
    verifier = load_verifier(chosen(SAYS))
    verdicts = [verifier.verify(METADATA, text) for text in ("yes", "no", "perhaps")]
    assert verdicts == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNPARSABLE]
    assert verifier.verify_attempt(METADATA, "8") is None


def test_it_grades_attempts_where_it_knows_them(chosen: Chosen) -> None:
    verifier = load_verifier(chosen(SAYS + ATTEMPTS))
    verdicts = [verifier.verify_attempt(METADATA, text) for text in ("8", "7", "?")]
    assert verdicts == [Verdict.CORRECT, Verdict.INCORRECT, None]


def test_a_verifier_of_the_house_may_be_chosen_too(chosen: Chosen) -> None:
    task = chosen(SAYS)
    path = Path(PROFILES).parents[1] / "stages/verifiers/math_answer.py"
    Path("stages/verifiers").mkdir(parents=True)
    Path("stages/verifiers/math_answer.py").write_bytes(path.read_bytes())
    source = {
        "source": "stages.verifiers.math_answer:MathVerifier",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    task = type(task).model_validate({**task.model_dump(), "verifier": source})
    verifier = load_verifier(task)
    assert verifier.verify({"answer": "1/2"}, "0.5") is Verdict.CORRECT
    assert verifier.verify_attempt({"answer": "1/2"}, "0.5") is None


def test_it_runs_confined_and_a_lost_answer_is_an_error(chosen: Chosen) -> None:
    task = chosen(
        """
    def verify(self, metadata, answer):
        if answer == "write":
            open("out", "w")
        return answer == "yes"
"""
    )
    problem = Problem("p", "train", 2, "3 5 T8", "3 + 5 8", METADATA, 1)
    texts = ("yes", "write", "no")
    verified = verify(task, [Submission(problem, text, False) for text in texts])
    assert verified == [Verdict.CORRECT, Verdict.ERROR, Verdict.INCORRECT]
    assert not Path("out").exists()


@pytest.mark.parametrize("said", ["'False'", "'correct'", "1", "0", "0.5", "[True]"])
def test_what_is_neither_yes_nor_no_earns_nothing(chosen: Chosen, said: str) -> None:
    """The class is at fault, so there is no reward; a right answer behind it is right."""
    task = chosen(
        f"""
    def verify(self, metadata, answer):
        return True if answer == "yes" else {said}

    def verify_attempt(self, metadata, segment):
        return {said}
"""
    )
    problem = Problem("p", "train", 2, "3 5 T8", "yes", METADATA, 1)
    submissions = [Submission(problem, "?", is_attempt) for is_attempt in (False, True)]
    verified = verify(task, [*submissions, Submission(problem, "yes", is_attempt=False)])
    assert verified == [Verdict.ERROR, Verdict.ERROR, Verdict.CORRECT]
    with pytest.raises(TypeError, match="must return True, False or None"):
        load_verifier(task).verify(METADATA, "?")


@pytest.mark.parametrize(
    ("body", "changes", "reason"),
    [
        (SAYS, {"sha256": "0" * 64}, r"set task\.verifier\.sha256 to the one found"),
        (SAYS, {"name": "Yours"}, r"task\.verifier\.source: \w+:Yours: AttributeError"),
        ("    x = 1 / 0", {}, r"task\.verifier\.source: \w+:Mine: ZeroDivisionError"),
        ("    pass", {}, "needs a method verify"),
    ],
)
def test_what_is_no_verifier_is_refused_before_a_worker_starts(
    body: str, changes: dict[str, str], reason: str, chosen: Chosen
) -> None:
    with pytest.raises(BadInput, match=reason):
        open_verifiers(chosen(body, **changes))
