"""Mathematics from a file: each bad row is listed, none is dropped unsaid, twins never part."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.params.inits.demonstrations import DirectDemonstrations, WorkedDemonstrations
from stages.contracts.params.task import DatasetTask
from stages.running.errors import BadInput
from stages.tasks.imported.dataset import Dataset
from stages.tasks.imported.intake import canonical
from stages.tasks.task import Problem
from stages.verifiers.references import reference_verdicts

QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)
COLUMNS = {"question": "problem", "answer": "answer", "level": "level", "solution": "solution"}
TIERS = [
    {"difficulty": 0, "levels": ["easy"], "num_train": 20, "num_heldout": 2, "num_reserved": 0},
    {"difficulty": 3, "levels": ["hard", 5], "num_train": 20, "num_heldout": 2, "num_reserved": 0},
]


def row(question: str, **other: Any) -> dict[str, Any]:
    return {"problem": question, "answer": "1", "level": "easy", "solution": "It is one.", **other}


def sums(num_rows: int = 200) -> list[dict[str, Any]]:
    levels = ("easy", "hard", 5, "absurd")
    return [
        row(
            f"What is {n} + {n}?",
            answer=str(2 * n),
            level=levels[n % 4],
            solution=f"Twice {n}.\n\nSo {2 * n}.",
        )
        for n in range(num_rows)
    ]


def jsonl(path: Path, rows: Sequence[Any]) -> Path:
    path.write_bytes(
        b"".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in rows
        )
    )
    return path


def task(file: Path, **other: Any) -> DatasetTask:
    values = {
        "name": "dataset",
        "path": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "columns": COLUMNS,
        "seed": 1,
        "text": {"kind": "trained", "vocabulary_size": 300},
        "max_question_characters": 200,
        "heldout_bucket": 0,
        "tiers": TIERS,
    }
    return DatasetTask.model_validate(values | other)


def agree(problems: Sequence[Problem]) -> list[str]:
    """For tests in which no answer is in question."""
    return ["correct"] * len(problems)


def read(params: DatasetTask) -> list[Problem]:
    return list(Dataset(params, agree).problems())


def test_rows_become_problems_of_their_tier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = task(jsonl(tmp_path / "sums.jsonl", sums()))
    problems = list(Dataset(params, partial(reference_verdicts, params)).problems())
    assert Counter((p.difficulty, p.split) for p in problems) == {
        (0, "train"): 20,
        (0, "heldout"): 2,
        (3, "train"): 20,
        (3, "heldout"): 2,
    }
    rows = sums()
    for problem in problems:
        given_row = rows[problem.seed - 1]
        assert (problem.prompt, problem.answer) == (given_row["problem"], given_row["answer"])
        assert given_row["level"] in (["easy"] if problem.difficulty == 0 else ["hard", 5])
    said = re.search(
        r"(\d+) of 200 rows are problems; (\d+) are more than .*, (\d+) of a level",
        capsys.readouterr().err,
    )
    assert said is not None
    assert int(said[1]) == 44
    assert sum(map(int, said.groups())) == 200
    assert int(said[3]) >= 50


def test_parquet_and_jsonl_give_the_same_problems(tmp_path: Path) -> None:
    rows = [{**line, "level": str(line["level"])} for line in sums()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sums.parquet", row_group_size=7)
    one, two = (
        read(task(path))
        for path in (tmp_path / "sums.parquet", jsonl(tmp_path / "sums.jsonl", rows))
    )
    assert one == two


def test_the_order_of_rows_changes_no_split_and_other_rows_neither(tmp_path: Path) -> None:
    everything = [
        {
            "difficulty": 0,
            "levels": ["easy", "hard", 5, "absurd"],
            "num_train": 60,
            "num_heldout": 5,
            "num_reserved": 0,
        }
    ]
    kept = read(task(jsonl(tmp_path / "a.jsonl", sums(100)), tiers=everything))
    mixed = [row(f"  what IS {n} +\t{n}? ", answer=str(2 * n)) for n in reversed(range(150))]
    other = read(task(jsonl(tmp_path / "b.jsonl", mixed), tiers=everything, seed=9))
    split_of = {p.problem_id: p.split for p in other}
    shared = [p for p in kept if p.problem_id in split_of]
    assert len(shared) > 20
    assert all(split_of[p.problem_id] == p.split for p in shared)


def test_reserved_rows_are_taken_where_they_are_asked_for(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "sums.jsonl", [row(f"What is {n}?") for n in range(400)])
    tier = {"difficulty": 0, "levels": ["easy"], "num_train": 250, "num_heldout": 20}
    plain, more = (read(task(path, tiers=[{**tier, "num_reserved": number}])) for number in (0, 15))
    assert [p for p in more if p.split != "reserved"] == plain
    assert len(more) == len(plain) + 15
    other = read(task(path, tiers=[{**tier, "num_reserved": 0}], heldout_bucket=1))
    reserved = {p.problem_id for p in more if p.split == "reserved"}
    assert not reserved & {p.problem_id for p in other if p.split == "train"}


def test_the_reserved_tenths_share_no_question(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "sums.jsonl", [row(f"What is {n}?") for n in range(400)])
    tiers = [
        {
            "difficulty": 0,
            "levels": ["easy"],
            "num_train": 250,
            "num_heldout": 20,
            "num_reserved": 0,
        }
    ]
    one, two = (read(task(path, tiers=tiers, heldout_bucket=bucket)) for bucket in (0, 1))
    assert not {p.prompt for p in one if p.split == "heldout"} & {p.prompt for p in two}


def test_every_bad_row_is_listed_by_kind_and_line(tmp_path: Path) -> None:
    bad = [
        b'{"problem": "caf\xe9", "answer": "1", "level": 1, "solution": ""}\n',
        b"not JSON\n",
        b"\n",
        b"[" * 100_000 + b"\n",
        [1, 2],
        {"problem": "What?", "level": "easy"},
        row("  what is 0\n+ 0?"),
        row(" \u200b"),
        row("An empty answer", answer=""),
        row("An answer that is a list", answer=[1]),
        row("An answer that is true", answer=True),
        row("No level", level=None),
        row("Unreadable", answer="\\frac{"),
        row("NUL \0"),
        row("Decoded wrongly \ufffd"),
        row("Half a pair \ud800"),
        row("A marker <answer>"),
        row("Long " * 50),
        row("In a level without tier", level="absurd", answer="1 +"),
    ]
    params = task(
        jsonl(
            tmp_path / "bad.jsonl",
            [*sums(8), *bad, *(row("The same", answer="2") for _ in range(9))],
        )
    )
    with pytest.raises(BadInput) as caught:
        list(Dataset(params, partial(reference_verdicts, params)).problems())
    said = [line.strip() for line in str(caught.value).splitlines()]
    assert said[0].startswith(
        f"{params.path}, 36 rows: 27 refused, so nothing is imported; mend them"
    )
    assert set(said[1:]) == {
        "1 not in UTF-8: line 9",
        "4 not one JSON object on one line: line 10, line 11, line 12, line 13",
        "1 without column answer, solution: line 14",
        "9 with a question that an earlier row asks: line 15 (as line 1), line 29 (as line 28), "
        "line 30 (as line 28), "
        "line 31 (as line 28), line 32 (as line 28) and 4 more",
        "1 with an empty question: line 16",
        "1 with an empty answer: line 17",
        "2 with neither text nor a number in column answer: line 18, line 19",
        "1 with neither text nor a number in column level: line 20",
        "2 with an answer that its own verifier does not accept: "
        "line 21 (unparsable), line 27 (unparsable)",
        "3 with text in a broken encoding (NUL, U+FFFD or half a surrogate pair): "
        "line 22, line 23, line 24",
        "1 with '<answer>' in its text, which stands for a token: line 25",
        "1 with a question of more than 200 characters: line 26",
    }


def test_parquet_that_is_not_utf8_is_listed(tmp_path: Path) -> None:
    texts = pa.array([b"What is 1?", b"caf\xe9"]).view(pa.string())
    ones = pa.array(["1", "1"])
    pq.write_table(
        pa.table({"problem": texts, "answer": ones, "level": ["easy"] * 2, "solution": ones}),
        tmp_path / "a.parquet",
    )
    with pytest.raises(BadInput, match=r"1 refused(.|\n)*1 not in UTF-8: line 2"):
        read(task(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, r"sha256 is [0-9a-f]{64}, not 000.* task\.sha256"),
        ({"path": "nowhere/a.jsonl"}, r"nowhere/a\.jsonl is missing"),
        (
            {"tiers": [{**TIERS[0], "num_train": 90}]},
            r"difficulty 0: .* has \d+ train problems .* at most so many",
        ),
        (
            {"tiers": [{**TIERS[0], "num_heldout": 90, "num_reserved": 0}]},
            r"difficulty 0: .* has \d+ heldout problems \(a tenth",
        ),
    ],
)
def test_what_is_wrong_and_what_would_be_right(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        read(task(jsonl(tmp_path / "sums.jsonl", sums()), **change))


def test_a_parquet_file_without_the_column_or_the_format_says_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"problem": ["a"], "answer": ["1"]}), tmp_path / "a.parquet")
    with pytest.raises(
        BadInput, match=r"has no column level; choose task\.columns from \['problem', 'answer'\]"
    ):
        read(task(tmp_path / "a.parquet"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(BadInput, match="no Parquet file that can be read"):
        read(task(tmp_path / "b.parquet"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": {**COLUMNS, "level": None}}, "columns.level is absent"),
        ({"tiers": [{**TIERS[0], "levels": None}]}, "every tier must name its levels"),
        ({"tiers": [TIERS[0], {**TIERS[1], "levels": [5, "easy"]}]}, "level easy stands twice"),
        ({"path": "problems.csv"}, "path"),
    ],
)
def test_params_that_contradict_themselves_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = jsonl(tmp_path / "sums.jsonl", sums(4))
    with pytest.raises(ValueError, match=message):
        task(path, **change)


def test_one_tier_without_levels_takes_every_row(tmp_path: Path) -> None:
    rows = [{"q": f"What is {n}?", "a": n, "note": None} for n in range(100)]
    tiers = [{"difficulty": 0, "num_train": 60, "num_heldout": 3, "num_reserved": 0}]
    params = task(
        jsonl(tmp_path / "a.jsonl", rows), columns={"question": "q", "answer": "a"}, tiers=tiers
    )
    assert {p.answer for p in read(params)} <= {str(n) for n in range(100)}


def test_a_solution_becomes_the_thinking_of_a_demonstration(tmp_path: Path) -> None:
    source = Dataset(task(jsonl(tmp_path / "sums.jsonl", sums())), agree)
    problems = list(source.problems())
    by_id = {p.problem_id: p for p in problems}
    for demo in source.demonstrations(
        problems, WorkedDemonstrations(strategy="worked", num_demos=5), 1
    ):
        half = int(by_id[demo.problem_id].answer) // 2
        assert demo.text == f"Twice {half}.\n\nSo {2 * half}.\n\n<answer>{2 * half}"
        assert demo.num_segments == 2
    for demo in source.demonstrations(
        problems, DirectDemonstrations(strategy="direct", num_demos=5), 1
    ):
        assert demo.text == f"<answer>{by_id[demo.problem_id].answer}"
    bare = Dataset(
        task(jsonl(tmp_path / "bare.jsonl", [{**line, "solution": ""} for line in sums()])), agree
    )
    with pytest.raises(BadInput, match="came without a solution"):
        list(
            bare.demonstrations(
                list(bare.problems()), WorkedDemonstrations(strategy="worked", num_demos=1), 1
            )
        )
    assert source.solutions(problems[0]) == []


CASES = Path(__file__).parent / "cases"


def case(file: str, **other: Any) -> list[Problem]:
    """What becomes of a file with columns q and a, judged by the task's own verifier; by line."""
    tier = {"difficulty": 0, "num_train": 30, "num_heldout": 1, "num_reserved": 0}
    values = {"columns": {"question": "q", "answer": "a"}, "tiers": [tier], **other}
    params = task(CASES / file, **values)
    source = Dataset(params, partial(reference_verdicts, params))
    return sorted(source.problems(), key=lambda problem: problem.seed)


@pytest.mark.parametrize(
    ("file", "answer"),
    [
        ("bom.jsonl", lambda line: str(2 * (line - 1))),
        ("float32.parquet", lambda line: f"{999 + line}.1"),
        ("decimal.parquet", lambda line: f"{line - 1}.00"),
        ("small_floats.jsonl", lambda line: f"{line / 1e7:.7f}".rstrip("0")),
        ("mixed_numbers.jsonl", lambda line: f"{line} 1/2"),
    ],
)
def test_a_file_is_taken_as_people_read_it(file: str, answer: Callable[[int], str]) -> None:
    problems = case(file)
    assert len(problems) == 31
    given_answers = {problem.seed: problem.answer for problem in problems}
    assert given_answers == {line: answer(line) for line in given_answers}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nan.jsonl", r"1 with no number \(NaN\) in column a: line 9"),
        ("duplicate_key.jsonl", "1 in which key 'a' stands twice: line 9"),
        ("dictionary_not_utf8.parquet", "1 not in UTF-8: line 60"),
    ],
)
def test_a_file_that_says_nothing_sure_is_refused(file: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"60 rows: 1 refused(.|\n)*{message}$"):
        case(file)


def test_levels_that_became_fractions_are_found_or_listed() -> None:
    columns = {"question": "q", "answer": "a", "level": "l"}
    tier = {"difficulty": 0, "levels": [5], "num_train": 10, "num_heldout": 1, "num_reserved": 0}
    problems = case("float_level.jsonl", columns=columns, tiers=[tier])
    assert all(problem.seed % 2 == 0 for problem in problems)
    with pytest.raises(BadInput, match=r"has 0 train problems .* of those in the file: 3, 5(\n|$)"):
        case("float_level.jsonl", columns=columns, tiers=[{**tier, "levels": [4]}])


@pytest.mark.parametrize("answer", ["NaN", "None", " null", "-inf", "N/A"])
def test_a_missing_value_is_no_answer(answer: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [row("One?", answer=answer)])
    with pytest.raises(BadInput, match=r"1 with a missing value for an answer: line 1 \("):
        read(task(path))
    own = {"source": "mine.own:Own", "sha256": "0" * 64}
    with pytest.raises(BadInput, match="ask for at most so many"):  # nothing else is wrong with it
        read(task(path, verifier=own))


@pytest.mark.parametrize(
    "twin",
    [
        "caf\u00e9 1?",
        "Cafe\u0301 1?",
        "CAFÉ\u00a01?",
        "caf\u00e9 \uff11?",
        "ca\u00adf\u00e9 1\u200b?",
    ],
)
def test_questions_that_look_alike_are_one(twin: str, tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl", [row("café 1?"), row("café 2²?"), row("café 22?"), row(twin)]
    )
    with pytest.raises(BadInput, match=r"1 refused(.|\n)*earlier row asks: line 4 \(as line 1\)"):
        read(task(path))


@pytest.mark.parametrize("sign", ["\f", "\b", "\x1b", "\x7f"])
def test_a_control_character_is_refused(sign: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [row("One?", solution=f"{sign}rac")])
    with pytest.raises(BadInput, match=rf"control character U\+{ord(sign):04X} in its text"):
        read(task(path))


def test_space_around_question_and_answer_is_left_out(tmp_path: Path) -> None:
    rows = [row(f"\n What is {n}? ", answer=f" {n}\r\n") for n in range(200)]
    for problem in read(task(jsonl(tmp_path / "a.jsonl", rows), tiers=TIERS[:1])):
        assert problem.prompt == f"What is {problem.answer}?"


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.jsonl has no rows"):
        read(task(jsonl(tmp_path / "a.jsonl", [])))


@QUICK
@given(st.text(), st.text(alphabet=" \t\n"))
def test_a_canonical_question_is_its_own_and_its_twins(text: str, space: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert canonical(space + text.replace(" ", f" {space}") + space) == canonical(text)
