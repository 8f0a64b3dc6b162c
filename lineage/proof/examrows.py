"""Whether an exam was sat whole: every problem at every temperature and budget, from one thought.

What `examine` writes is held against its parameters, its problems, and itself.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lineage.proof.rowtables import Tables, bad_rows
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.graph import Graph
from lineage.record.lock import Step
from lineage.record.values import Values, section

SAMPLE = ("problem_id", "temperature", "sample_index")
PLACE = (*SAMPLE, "budget_tokens")


def check_sitting(
    graph: Graph, examine: Step, answers: pa.Table, tables: Tables
) -> Iterator[Finding]:
    """Answers are as the exam's parameters ask for them, and cut from the thoughts beside them.

    Args:
        graph: all steps.
        examine: the step that wrote the answers.
        answers: them.
        tables: what steps wrote.
    """
    names = answers["problem_id"]
    used, budget = answers["used_tokens"], answers["budget_tokens"]
    is_within = pc.and_(pc.greater_equal(used, 0), pc.less_equal(used, budget))
    what = "answers used more tokens than their budget, or fewer than none"
    yield from bad_rows(examine, pc.invert(is_within), names, what)
    is_early = pc.and_(answers["is_forced"], pc.not_equal(used, budget))
    what = "answers were forced before their budget was used"
    yield from bad_rows(examine, is_early, names, what)
    yield from _repeated(examine, answers, PLACE, "answers stand twice")
    exam = section(examine.params, "exam")
    yield from _asked(examine, answers, exam)
    problems = tables.read(
        graph.source(examine, Flag.PROBLEMS), Flag.PROBLEMS, "problem_id", "split", "difficulty"
    )
    if problems is not None:
        yield from _covered(examine, names, problems, exam)
    columns = ("policy_id", *SAMPLE, "thinking_tokens")
    thoughts = tables.read(examine, Flag.THOUGHTS, *columns)
    if thoughts is not None:
        yield from _thought(examine, answers, thoughts)


def _asked(step: Step, answers: pa.Table, exam: Values) -> Iterator[Finding]:
    """Each problem as often as the parameters say, at what they say."""
    names = answers["problem_id"]
    budgets, temperatures = _numbers(exam, "budgets_tokens"), _numbers(exam, "temperatures")
    temperatures = temperatures or _numbers(exam, "temperature")
    num_samples = exam.get("num_samples")
    if not (budgets and temperatures and isinstance(num_samples, int)):
        return
    is_asked = pc.is_in(answers["budget_tokens"], pa.array(budgets, pa.int32()))
    at = pc.is_in(answers["temperature"], pa.array(temperatures, pa.float32()))
    sample = answers["sample_index"]
    is_sample = pc.and_(pc.greater_equal(sample, 0), pc.less(sample, num_samples))
    is_stray = pc.invert(pc.and_(pc.and_(is_asked, at), is_sample))
    what = "answers are at no budget, temperature or sample of the exam's"
    yield from bad_rows(step, is_stray, names, what)
    wanted = num_samples * len(budgets) * len(temperatures)
    counted = names.value_counts()
    is_off = pc.not_equal(counted.field("counts"), wanted)
    what = f"problems of its exam have more or fewer than {wanted} answers"
    yield from bad_rows(step, is_off, counted.field("values"), what)


def _covered(
    step: Step, names: pa.ChunkedArray, problems: pa.Table, exam: Values
) -> Iterator[Finding]:
    """Every held-out problem is asked; the reserved ones, too, where there is a choice."""
    is_in = pc.is_in(names, problems["problem_id"])
    yield from bad_rows(step, pc.invert(is_in), names, "answers are to no problem")
    splits = ["heldout", "reserved"] if len(_numbers(exam, "temperatures")) > 1 else ["heldout"]
    due = problems.filter(pc.is_in(problems["split"], pa.array(splits)))["problem_id"]
    is_missing = pc.invert(pc.is_in(due, names))
    yield from bad_rows(step, is_missing, due, "problems of its exam have no answer")
    num_seen = exam.get("num_seen")
    if isinstance(num_seen, int):
        train = problems.filter(pc.equal(problems["split"], "train"))
        wanted = num_seen * len(pc.unique(train["difficulty"]))
        num = pc.sum(pc.is_in(train["problem_id"], names)).as_py() or 0
        if num != wanted:
            message = (
                f"its exam asks {wanted} problems of the train split, its answers are to {num}"
            )
            yield Finding("rows", step.name, message)


def _thought(step: Step, answers: pa.Table, thoughts: pa.Table) -> Iterator[Finding]:
    """Each answer's thinking is the beginning of a thought of the same policy."""
    names = thoughts["problem_id"]
    is_other = pc.not_equal(thoughts["policy_id"], step.key)
    yield from bad_rows(step, is_other, names, f"thoughts are not of policy {step.key}")
    yield from _repeated(step, thoughts, SAMPLE, "thoughts stand twice")
    of_answers, samples = _joined(answers), _joined(thoughts)
    is_stray = pc.invert(pc.is_in(samples, of_answers))
    yield from bad_rows(step, is_stray, names, "thoughts are of no answer")
    place = pc.index_in(of_answers, samples)
    length = thoughts["thinking_tokens"].take(place)
    due = pc.min_element_wise(length, answers["budget_tokens"], skip_nulls=False)
    is_off = pc.not_equal(answers["used_tokens"], due)
    what = "answers used other numbers of tokens than their thoughts have"
    yield from bad_rows(step, is_off, answers["problem_id"], what)


def _repeated(step: Step, rows: pa.Table, key: Sequence[str], what: str) -> Iterator[Finding]:
    counted = rows.group_by([*key]).aggregate([([], "count_all")])
    is_repeated = pc.greater(counted["count_all"], 1)
    yield from bad_rows(step, is_repeated, counted["problem_id"], what)


def _joined(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(rows[name].cast(pa.string()) for name in SAMPLE), "/")


def _numbers(values: Values, name: str) -> list[int | float]:
    """What stands under a key: a list of numbers, or one."""
    value = values.get(name)
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, int | float)]
