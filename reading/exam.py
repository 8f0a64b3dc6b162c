"""One sample of an exam in full: its thinking, and the answer forced at each budget."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from reading.database import Database
from reading.errors import NotThere
from reading.sources import PROBLEMS, quoted

Row = Mapping[str, Any]


class Stretch(NamedTuple):
    """The thinking between two budgets, and the answer given at its end."""

    text: str | None
    answer: Row


class Sample(NamedTuple):
    """A sample: the problem, and its thinking cut where answers were forced."""

    source: str
    problem: Row
    policy_id: str
    temperature: float
    sample_index: int
    stretches: list[Stretch]


def read_sample(
    database: Database, name: str, problem_id: str, temperature: float, sample_index: int
) -> Sample:
    """A sample of an exam.

    Raises:
        NotThere: there is none, or the exam has not been graded.
    """
    source = database.source(name)
    key = {"problem_id": problem_id, "temperature": temperature, "sample_index": sample_index}
    condition = (
        "problem_id = $problem_id AND temperature = CAST($temperature AS FLOAT) "
        "AND sample_index = $sample_index"
    )
    schema = quoted(name)
    answers, thoughts = (
        database.ask(f"SELECT * FROM {schema}.{table} WHERE {condition}{order}", key).records
        for table, order in (
            (source.need("grades").name, " ORDER BY budget_tokens"),
            (source.need("thoughts").name, ""),
        )
    )
    if not answers or not thoughts:
        raise NotThere(f"{name} has no sample {sample_index} of {problem_id} at {temperature}")
    thought = thoughts[0]
    stretches, start = [], 0
    for answer in answers:
        tokens = thought["thinking_tokens"][start : answer["used_tokens"]]
        start = max(start, answer["used_tokens"])
        stretches.append(Stretch(database.decoder.text(thought["policy_id"], tokens), answer))
    problem = read_problem(database, problem_id)
    return Sample(name, problem, thought["policy_id"], temperature, sample_index, stretches)


def read_problem(database: Database, problem_id: str) -> Row:
    """A problem.

    Raises:
        NotThere: there is none.
    """
    sql = f"SELECT * FROM {PROBLEMS} WHERE problem_id = $id"
    found = database.ask(sql, {"id": problem_id}).records
    if not found:
        raise NotThere(f"there is no problem {problem_id}")
    return found[0]
