"""What params.yaml and its task's source can tell is told before any stage, all of it at once."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.checkouts import PROFILES
from stages.check import main
from stages.running.errors import BadInput

CLASS = '''"""Sums of a number with itself."""

from stages.tasks.question import Question


class Twice:
    def problems(self, difficulty, rng):
        for number in range(200):
            yield Question(f"Twice {number}?", str(2 * number), {})

    def verify(self, question, answer):
        return answer == question.answer
'''


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes params.yaml of the reasoning-gym profile with another task, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(task: dict[str, Any], **changes: Any) -> None:
        content = yaml.safe_load((PROFILES / "reasoning_gym.yaml").read_text(encoding="utf-8"))
        content["task"] = task
        recipe, init = content["recipes"]["sampled"], content["inits"]["r0"]
        recipe["rollout"]["difficulties"] = [0]
        recipe["probe"] = changes.get("probe", recipe["probe"])
        init["demonstrations"] = changes.get("demonstrations", init["demonstrations"])
        init["demonstrations"]["num_demos"] = 40
        init["model"] |= changes.get("model", {})
        Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    return write


def of_a_file(rows: list[dict[str, str]], num_train: int = 20) -> dict[str, Any]:
    """A task of a file with these rows."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    Path("sums.jsonl").write_text(text, encoding="utf-8")
    columns = {"question": "problem", "answer": "answer"}
    columns |= {"solution": "solution"} if "solution" in rows[0] else {}
    tier = {"difficulty": 0, "num_train": num_train, "num_heldout": 1, "num_reserved": 0}
    return {
        "name": "dataset",
        "path": "sums.jsonl",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "columns": columns,
        "seed": 1,
        "text": {"kind": "trained", "vocabulary_size": 320},
        "max_question_characters": 200,
        "heldout_bucket": 0,
        "tiers": [tier],
    }


def of_a_class() -> dict[str, Any]:
    """A task of a class that lists no solutions."""
    Path("twice.py").write_text(CLASS, encoding="utf-8")
    task = of_a_file([{"problem": "-", "answer": "-"}])
    del task["path"], task["columns"]
    digest = hashlib.sha256(CLASS.encode()).hexdigest()
    return {**task, "name": "user", "source": "twice:Twice", "sha256": digest}


SUMS = [{"problem": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(60)]


def test_what_is_right_passes(written: Callable[..., None]) -> None:
    written(of_a_file(SUMS))
    main()


def test_what_countdown_needs_is_told_too(tmp_path: Path) -> None:
    content = yaml.safe_load((PROFILES / "tiny.yaml").read_text(encoding="utf-8"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    main(tmp_path / "params.yaml")
    budget = content["exam"]["budgets_tokens"][-1] + content["exam"]["answer_tokens"]
    content["inits"]["r0"]["model"]["max_positions"] = budget + 2
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(BadInput, match=r"inits\.r0\.model\.max_positions: .* cannot hold the"):
        main(tmp_path / "params.yaml")


def test_an_estimator_and_a_model_are_refused_together(written: Callable[..., None]) -> None:
    probe = {"estimator": "set_likelihood", "temperature": 1.0, "micro_batch_tokens": 64}
    written(of_a_class(), probe=probe, model={"max_positions": 40})
    with pytest.raises(BadInput) as refused:
        main()
    told = str(refused.value)
    assert told.startswith("params.yaml: 2 problem(s)")
    assert "recipes.sampled.probe.estimator: set_likelihood needs every correct answer" in told
    # the longest prompt with <bos> and line end, 27 of thinking, the cue and 9 of the answer
    needed = int(told.rpartition("raise it to ")[2])
    assert f"inits.r0.model.max_positions: 40 positions cannot hold the {needed} tokens" in told
    assert 27 + 1 + 9 < needed <= 27 + 1 + 9 + len("Twice 199?") + 2
    written(of_a_class(), model={"max_positions": needed})
    main()
    written(of_a_class(), model={"max_positions": needed - 1})
    with pytest.raises(BadInput, match=f"raise it to {needed}"):
        main()


def test_solutions_to_be_shown_must_be_there(written: Callable[..., None]) -> None:
    written(of_a_file(SUMS), demonstrations={"strategy": "worked"})
    with pytest.raises(BadInput, match=r"inits\.r0\.demonstrations: .*without a solution"):
        main()


def test_another_file_than_meant_is_refused(written: Callable[..., None]) -> None:
    written({**of_a_file(SUMS), "sha256": "0" * 64})
    with pytest.raises(BadInput, match=r"sums\.jsonl: its sha256 is .*set task\.sha256"):
        main()


def test_every_tier_that_is_too_large_is_named(written: Callable[..., None]) -> None:
    tiers = [
        {"difficulty": n, "num_train": 500, "num_heldout": 50, "num_reserved": 0, "level": 0}
        for n in (0, 1)
    ]
    text = {"kind": "trained", "vocabulary_size": 320}
    task = {"name": "reasoning_gym", "family": "products", "seed": 1, "text": text, "tiers": tiers}
    written(task)
    with pytest.raises(BadInput) as refused:
        main()
    assert "difficulty 0: family products gave 100 distinct" in str(refused.value)
    assert "difficulty 1: family products gave 0 distinct" in str(refused.value)


def test_the_source_is_drawn_though_another_section_is_wrong(written: Callable[..., None]) -> None:
    written(of_a_file(SUMS, num_train=900), model={"max_positions": 0})
    with pytest.raises(BadInput) as refused:
        main()
    assert "inits.r0.model" in str(refused.value)
    assert "train problems (eight tenths" in str(refused.value)


def test_another_checkpoint_than_meant_is_refused(
    written: Callable[..., None], tmp_path: Path
) -> None:
    written(of_a_file(SUMS))
    content = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    content["inits"]["r0"]["model"] = {"checkpoint": str(tmp_path), "sha256": "0" * 64}
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(BadInput, match=r"inits\.r0\.model: checkpoint .* missing"):
        main()


def test_both_splits_of_a_file_are_named(written: Callable[..., None]) -> None:
    task = of_a_file(SUMS, num_train=900)
    task["tiers"][0]["num_heldout"] = 90
    written(task)
    with pytest.raises(BadInput) as refused:
        main()
    assert "train problems (eight tenths" in str(refused.value)
    assert "heldout problems (a tenth" in str(refused.value)
