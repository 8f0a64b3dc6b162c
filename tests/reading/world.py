"""A small checkout's `data`: a round, the exams of two policies, their tokenizer; hostile text."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from fixtures.rows import row
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.grades import GRADES
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.tables.thoughts import THOUGHTS

HOSTILE = "<script>alert(1)</script>\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}gpj"
WORDS = ["two", "three", "50%", HOSTILE, "answer", "six"]
PROGRESS = {"i1/p/0": (0.5, -0.25), "i1/p/1": (0.0, 0.125), "i1/q/0": (-0.5, 0.0)}
"""Of each rollout, what its two thinking segments gained."""


def write(data: Path) -> None:
    """Write it all under a folder."""
    write_table(
        data / "problems.parquet",
        PROBLEMS,
        [row(PROBLEMS, problem_id=name, prompt=f"ask {name} {HOSTILE}") for name in "pq"],
    )
    for policy in ("r0", "i1"):
        tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="six"))
        (data / "policies" / policy).mkdir(parents=True)
        tokenizer.save(str(data / "policies" / policy / "tokenizer.json"))
    write_round(data / "rounds" / "i1")
    for policy in ("r0", "i1"):
        write_exam(data / "exams" / policy, policy)


def write_round(folder: Path) -> None:
    """Three rollouts of two problems: two thinking segments of two tokens, then an answer."""
    rollouts, segments, gains, probes = [], [], [], []
    for name, gained in PROGRESS.items():
        _, problem, sample = name.split("/")
        rollouts.append(
            row(
                ROLLOUTS,
                problem_id=problem,
                sample_index=int(sample),
                completion_tokens=[0, 1, 2 if name == "i1/p/1" else 1, 3, 4, 5],
            )
        )
        success = 0.5
        for index, progress in enumerate(gained):
            made = {"rollout_id": name, "segment_index": index}
            spans = {"start_token": 2 * index, "end_token": 2 * index + 2}
            segments.append(row(SEGMENTS, **made, **spans, self_verdict=progress < 0))
            ends = {"success_before": success, "success_after": success + progress}
            gains.append(row(GAINS, **made, **ends))
            probes.append(row(PROBES, rollout_id=name, boundary_index=index, answers=["6", "5"]))
            success += progress
        made = {"rollout_id": name, "segment_index": 2, "kind": "answer"}
        segments.append(row(SEGMENTS, **made, start_token=4, end_token=6))
        probes.append(row(PROBES, rollout_id=name, boundary_index=2))
    write_table(folder / "rollouts.parquet", ROLLOUTS, rollouts)
    write_table(folder / "segments.parquet", SEGMENTS, segments)
    write_table(folder / "gains.parquet", GAINS, gains)
    write_table(folder / "probes.parquet", PROBES, probes)
    verdicts = dict(zip(PROGRESS, ("correct", "incorrect", "unparsable"), strict=True))
    scores = [row(SCORES, rollout_id=n, verdict=v, answer=HOSTILE) for n, v in verdicts.items()]
    write_table(folder / "scores.parquet", SCORES, scores)
    write_advantages(folder / "advantages.parquet")
    ledger = [row(LEDGER, rollout_id=n, problem_id=n.split("/")[1]) for n in PROGRESS]
    write_table(folder / "ledger.parquet", LEDGER, ledger)


def write_advantages(folder: Path) -> None:
    """What the tokens of one rollout learnt by: of its answer, the choice to stop is apart."""
    folder.mkdir()
    starts, segments = (0, 2, 4, 5), (0, 1, 2, 2)
    columns = {
        "rollout_id": ["i1/p/0"] * len(starts),
        "segment_index": segments,
        "start_token": starts,
        "end_token": (2, 4, 5, 6),
        "is_stop": (False, False, True, False),
        "outcome_advantage": (0.0, 0.0, 1.0, 1.0),
        "credit_advantage": (1.5, None, 0.0, 0.0),
        "advantage": (1.5, None, 1.0, 1.0),
        "clipped_frac": (0.5, None, 0.0, 0.0),
    }
    pq.write_table(pa.table(columns), folder / "part-00000-of-00001.parquet")


def write_exam(folder: Path, policy: str) -> None:
    """One sample of a problem at two budgets."""
    made = {"problem_id": "p", "temperature": 0.5}
    own = {"policy_id": policy, **made}
    budgets = [{"budget_tokens": budget, "used_tokens": min(budget, 3)} for budget in (2, 8)]
    write_table(
        folder / "thoughts.parquet", THOUGHTS, [row(THOUGHTS, **own, thinking_tokens=[0, 1, 3])]
    )
    write_table(folder / "answers.parquet", ANSWERS, [row(ANSWERS, **own, **b) for b in budgets])
    verdicts = ("incorrect", "correct")
    write_table(
        folder / "grades.parquet",
        GRADES,
        [
            row(GRADES, **made, **b, verdict=v, num_false_positives=1, num_segments=2)
            for b, v in zip(budgets, verdicts, strict=True)
        ],
    )
