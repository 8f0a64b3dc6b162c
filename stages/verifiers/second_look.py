"""Judge a stored round again: by its verifier, by a second one, and on answers changed by hand.

Reads   the scores and rollouts of a round, problems; params.yaml `task`.
Writes  nothing but what it prints, as text or with --as-json as JSON.
Method  Every stored answer is judged anew by the task's verifier (`again`) and by another
        implementation (`second`); up to --num-perturbed answers that are correct are written
        differently (`same`: how many are still correct) or spoilt (`wrong`: how many are still
        correct, and should not be). Rates have Wilson's interval at 95%. All verifiers run in
        killable workers.
Claim   none; ends with 1 where a stored verdict is not what its verifier says today, or where a
        spoilt answer is paid.

Example: python -m stages.verifiers.second_look --round-id i1
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

from stages.contracts.params.base import read_section
from stages.contracts.params.task import TaskParams
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput, command
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import Submission
from stages.verifiers.perturbing import same_answers, wrong_answers
from stages.verifiers.second import load_second, second_name

CONFIDENCE = 0.95
MAX_OFFENDERS = 3
MAX_SHOWN_CHARACTERS = 80
FINDING = 1


class Judged(NamedTuple):
    """A stored answer: whose it is, its problem, its text and its verdict."""

    rollout_id: str
    problem: Problem
    answer: str
    verdict: str


def main(
    round_id: str,
    data: Path = Path("data"),
    params_file: Path = Path("params.yaml"),
    num_perturbed: int = 100,
    as_json: bool = False,
) -> None:
    """Judge the answers of a round again.

    Args:
        round_id: The round.
        data: The folder of the tables.
        params_file: Whose `task` names the verifier.
        num_perturbed: How many correct answers are changed by hand.
        as_json: Print JSON.
    """
    task = read_section(params_file, "task", TaskParams)
    looked = look(task, stored(data, round_id), num_perturbed)
    answer = {"round": round_id, "second_is": second_name(task), **looked}
    print(json.dumps(answer, indent=2) if as_json else text(answer))
    is_paid = any(line["num"] for line in looked["wrong"].values())
    if looked["again"]["num"] or is_paid:
        raise SystemExit(FINDING)


def stored(data: Path, round_id: str) -> list[Judged]:
    """The answers of a round as they were judged.

    Raises:
        BadInput: no such round, or none that was scored.
    """
    folder = data / "rounds" / round_id
    if not (folder / "scores.parquet").exists():
        raise BadInput(
            f"{folder / 'scores.parquet'} is not there; run `dvc repro score@{round_id}`"
        )
    problems = {one.problem_id: one for one in read_problems(data / "problems.parquet")}
    asked = read_table(folder / "rollouts.parquet", ROLLOUTS, ["rollout_id", "problem_id"])
    names = dict(zip(*(asked[name].to_pylist() for name in asked.column_names), strict=True))
    columns = ["rollout_id", "answer", "verdict"]
    return [
        Judged(row["rollout_id"], problems[names[row["rollout_id"]]], row["answer"], row["verdict"])
        for row in read_table(folder / "scores.parquet", SCORES, columns).to_pylist()
    ]


def look(task: TaskParams, judged: Sequence[Judged], num_perturbed: int) -> dict[str, Any]:
    """What a second look at answers finds: counts, rates with intervals, the first offenders."""
    submissions = [Submission(one.problem, one.answer, is_attempt=False) for one in judged]
    again = isolated.verify(task, submissions)
    second = isolated.verify_with(partial(load_second, task), submissions)
    right = [one for one in judged if one.verdict == Verdict.CORRECT][:num_perturbed]
    return {
        "num_answers": len(judged),
        "verdicts": dict(sorted(Counter(one.verdict for one in judged).items())),
        "again": _differing(judged, again, lambda verdict: verdict),
        "second": _differing(judged, second, lambda verdict: verdict == Verdict.CORRECT),
        "same": _perturbed(task, _made(right, is_wrong=False)),
        "wrong": _perturbed(task, _made(right, is_wrong=True)),
    }


def wilson(num: int, num_of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval of a proportion; all of 0 to 1 where nothing was tried."""
    if not num_of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, scale = num / num_of, 1 + z * z / num_of
    middle = (rate + z * z / (2 * num_of)) / scale
    half = z / scale * (rate * (1 - rate) / num_of + z * z / (4 * num_of * num_of)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _differing(judged: Sequence[Judged], verdicts: Sequence[Any], what: Any) -> dict[str, Any]:
    """Where what verdicts say is not what the stored ones say, and from what to what."""
    pairs = zip(judged, verdicts, strict=True)
    differ = [(one, str(said)) for one, said in pairs if what(one.verdict) != what(said)]
    kinds = Counter(f"{one.verdict} -> {said}" for one, said in differ)
    offenders = [
        {"rollout_id": one.rollout_id, "answer": _short(one.answer), "said": said}
        for one, said in differ[:MAX_OFFENDERS]
    ]
    return _rate(len(differ), len(judged)) | {"kinds": dict(kinds), "first": offenders}


def _made(right: Sequence[Judged], is_wrong: bool) -> list[tuple[str, Judged, str]]:
    """Answers made from correct ones: what was done, to which, and what came of it."""
    made = []
    for index, one in enumerate(right):
        other = next((r.answer for r in right[index:] if r.answer != one.answer), None)
        texts = wrong_answers(one.answer, other) if is_wrong else same_answers(one.answer)
        made += [(kind, one, text) for kind, text in texts.items()]
    return made


def _perturbed(
    task: TaskParams, made: Sequence[tuple[str, Judged, str]]
) -> dict[str, dict[str, Any]]:
    """Of every kind of change how many are correct, and the first of those."""
    verdicts = isolated.verify(
        task, [Submission(one.problem, text, is_attempt=False) for _, one, text in made]
    )
    found: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(kind for kind, _, _ in made):
        lines = [(*line, v) for line, v in zip(made, verdicts, strict=True) if line[0] == kind]
        paid = [line for line in lines if line[3] is Verdict.CORRECT]
        first = [
            {"rollout_id": one.rollout_id, "answer": _short(answer)}
            for _, one, answer, _ in paid[:MAX_OFFENDERS]
        ]
        found[kind] = _rate(len(paid), len(lines)) | {"first": first}
    return found


def _rate(num: int, num_of: int) -> dict[str, Any]:
    low, high = wilson(num, num_of)
    return {
        "num": num,
        "of": num_of,
        "rate": num / num_of if num_of else None,
        "low": low,
        "high": high,
    }


def _short(answer: str) -> str:
    return answer if len(answer) <= MAX_SHOWN_CHARACTERS else answer[:MAX_SHOWN_CHARACTERS] + "…"


def text(answer: Mapping[str, Any]) -> str:
    """The answer in words."""
    verdicts = ", ".join(f"{num} {verdict}" for verdict, num in answer["verdicts"].items())
    lines = [f"round {answer['round']}: {answer['num_answers']} answers: {verdicts}", ""]
    lines += _told("stored verdicts that its verifier does not give today", answer["again"])
    lines += _told(
        f"answers that another judge differs on ({answer['second_is']})", answer["second"]
    )
    for name, words in (("same", "written differently"), ("wrong", "spoilt")):
        lines += ["", f"correct answers {words}, and still correct:"]
        for kind, line in answer[name].items():
            lines += _told(f"  {kind}", line, is_told=name == "wrong")
    return "\n".join(lines)


def _told(what: str, line: Mapping[str, Any], is_told: bool = True) -> list[str]:
    interval = f"{line['low']:.3f} to {line['high']:.3f}"
    told = [f"{what}: {line['num']} of {line['of']} ({interval})"]
    told += [f"    {num} {kind}" for kind, num in line.get("kinds", {}).items()]
    if is_told:
        told += [f"    first: {one['rollout_id']}: {one['answer']!r}" for one in line["first"]]
    return told


if __name__ == "__main__":
    command(main)
