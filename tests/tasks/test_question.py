"""A question from outside is text, and comes back from a problem's metadata."""

from dataclasses import asdict

import pytest

from stages.tasks.question import Question, question_of


def test_a_question_comes_back() -> None:
    question = Question("What is 6 times 7?", "42", {"level": 1}, solution="6 * 7 = 42")
    assert question_of(asdict(question)) == question
    assert Question("?", "!").metadata == {}


@pytest.mark.parametrize(
    ("question", "answer", "named"), [(None, "42", "question"), ("?", 42, "answer")]
)
def test_what_is_no_text_is_refused(question: object, answer: object, named: str) -> None:
    with pytest.raises(TypeError, match=f"a Question's {named} must be text, not"):
        Question(question, answer)
