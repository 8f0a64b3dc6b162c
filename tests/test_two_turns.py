"""A round of two turns, made by hand, through the stages that no environment feeds yet.

The policy attempts and calls, an environment replies with more tokens than the budget holds, the
policy goes on and answers: by itself in one sample of each problem, made to in the other.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.checkouts import PROFILES
from stages import infogain, prepare, score
from stages.contracts.origin import Origin
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.ledger import LEDGER
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.engines.new_policy import new_policy
from stages.engines.policy import save_policy
from stages.probe import __main__ as probe
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.update import __main__ as update
from stages.validate import __main__ as validate

ROUND, SEED, GROUP_SIZE, NUM_PROBLEMS = "i1", 1, 2, 4
WRONG = "1 + 1 2"
REPLY_ATTEMPTS = 8


def paths(folder: Path, *names: str) -> dict[str, Path]:
    return {name: folder / f"{name}.parquet" for name in names}


def turns(problem: Problem, sample: int) -> list[tuple[str, Origin]]:
    """What is said, and by whom; the reply holds the right answer, a marker and the cue."""
    reply = f"# {problem.answer} = " * REPLY_ATTEMPTS
    cue = Origin.CUE if sample else Origin.SAMPLED
    return [
        (f"{WRONG} <<", Origin.SAMPLED),
        (reply, Origin.ENVIRONMENT),
        (f"{problem.answer} =", Origin.SAMPLED),
        ("#", cue),
        (f"{WRONG if sample else problem.answer} <eos>", Origin.SAMPLED),
    ]


def rollout(problem: Problem, sample: int, renderer: Renderer) -> dict[str, Any]:
    said = [(renderer.encode(text), origin) for text, origin in turns(problem, sample)]
    origins = [origin for tokens, origin in said for _ in tokens]
    prompt = renderer.prompt_tokens(problem.prompt)
    completion = [token for tokens, _ in said for token in tokens]
    return {
        "rollout_id": f"{ROUND}/{problem.problem_id}/{sample}",
        "problem_id": problem.problem_id,
        "sample_index": sample,
        "policy_id": "r0",
        "prompt_tokens": prompt,
        "prompt_text": renderer.text(prompt),
        "completion_tokens": completion,
        "completion_text": renderer.text(completion),
        "sampler_logprobs": [-1.5 if origin == Origin.SAMPLED else 0.0 for origin in origins],
        "token_origin": origins,
        "num_thinking_tokens": sum(len(tokens) for tokens, _ in said[:3]),
        "finish_reason": "forced" if sample else "stop",
        "seed": derive_seed("rollout", SEED, problem.problem_id, sample),
        "temperature": 1.0,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, a random policy and its rollouts, then what score, probe and infogain leave."""
    folder = tmp_path_factory.mktemp("two_turns")
    raw = yaml.safe_load((PROFILES / "tiny.yaml").read_text(encoding="utf-8"))
    raw["recipes"]["information"]["rollout"] |= {
        "num_problems": NUM_PROBLEMS,
        "group_size": GROUP_SIZE,
    }
    params_file = folder / "params.yaml"
    params_file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    settings = load(params_file)
    form = load_format(settings.task)
    renderer = Renderer(form.tokenizer([]))
    save_policy(
        new_policy(settings.inits["r0"].model, renderer, form.token_values, seed=1),
        renderer,
        folder / "r0",
    )
    given = {"text_format": folder / "format.json", "params_file": params_file}
    tables = paths(folder, "problems", "solutions", "rollouts", "scores", "segments", "probes")
    tables |= paths(folder, "gains")

    def of(*names: str) -> dict[str, Path]:
        return {name: tables[name] for name in names}

    prepare.main(**of("problems", "solutions"), **given, exact_judge=folder / "exact")
    problems = read_problems(tables["problems"], split="train")[:NUM_PROBLEMS]
    rows = [rollout(problem, sample, renderer) for problem in problems for sample in (0, 1)]
    write_table(tables["rollouts"], ROLLOUTS, rows)
    score.main(
        ROUND,
        **of("problems", "rollouts", "scores", "segments"),
        **given,
        judge=folder / "exact",
        tokenizer=folder / "r0" / "tokenizer.json",
        summary=folder / "round.json",
    )
    probed = of("problems", "solutions", "rollouts", "scores", "segments", "probes")
    probe.main(ROUND, policy=folder / "r0", **probed, **given)
    gained = of("problems", "rollouts", "probes", "gains")
    infogain.main(ROUND, **gained, params_file=params_file)
    return folder


def checked(folder: Path, rollouts: Path, validation: Path) -> dict[str, Any]:
    """Run the gate."""
    validate.main(
        ROUND,
        policy=folder / "r0",
        rollouts=rollouts,
        **paths(folder, "problems", "scores", "segments", "probes", "gains"),
        validation=validation,
        text_format=folder / "format.json",
        params_file=folder / "params.yaml",
    )
    published: dict[str, Any] = json.loads(validation.read_text())
    return published


def test_a_reply_is_longer_than_the_budget_and_no_part_of_it(folder: Path) -> None:
    budget = load(folder / "params.yaml").recipes["information"].rollout.budget_tokens
    for row in read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist():
        thinking = row["token_origin"][: row["num_thinking_tokens"]]
        assert thinking.count(Origin.SAMPLED) <= budget < len(thinking)


def test_segments_end_behind_the_reply(folder: Path) -> None:
    """The reply's own markers cut nothing, and the attempts are the policy's."""
    rollouts = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    segments = read_table(folder / "segments.parquet", SEGMENTS).to_pylist()
    assert len(segments) == 3 * len(rollouts)
    for number, row in enumerate(rollouts):
        first, second, answer = segments[3 * number : 3 * number + 3]
        reply_end = max(i for i, at in enumerate(row["token_origin"]) if at == Origin.ENVIRONMENT)
        assert first["end_token"] == second["start_token"] == reply_end + 1
        assert second["end_token"] == answer["start_token"] == row["num_thinking_tokens"]
        assert [first["kind"], second["kind"], answer["kind"]] == ["attempt", "attempt", "answer"]
        assert (first["attempt_verdict"], second["attempt_verdict"]) == ("incorrect", "correct")
        assert (first["self_verdict"], second["self_verdict"]) == (False, True)


def test_answers_are_the_policys_own(folder: Path) -> None:
    scores = read_table(folder / "scores.parquet", SCORES).to_pylist()
    assert [row["verdict"] for row in scores] == ["correct", "incorrect"] * NUM_PROBLEMS
    assert {row["answer"] for row in scores[1::2]} == {WRONG}


def test_every_segment_has_its_gain(folder: Path) -> None:
    gains = read_table(folder / "gains.parquet", GAINS).to_pylist()
    assert len(gains) == 2 * GROUP_SIZE * NUM_PROBLEMS
    assert all(row["progress"] is not None for row in gains)


def test_the_gate_lets_it_through_and_an_update_trains_what_was_sampled(
    folder: Path, tmp_path: Path
) -> None:
    validation = tmp_path / "validation.json"
    assert checked(folder, folder / "rollouts.parquet", validation)["success"] is True
    (tmp_path / "code.json").write_text("{}")
    update.main(
        ROUND,
        policy=folder / "r0",
        reference=folder / "r0",
        **paths(folder, "rollouts", "scores", "segments", "gains"),
        validation=validation,
        next_policy=tmp_path / "i1",
        ledger=tmp_path / "ledger.parquet",
        advantages=tmp_path / "advantages.parquet",
        metrics=tmp_path / "metrics.json",
        steps=tmp_path / "steps.json",
        summary=tmp_path / "summary.json",
        code=tmp_path / "code.json",
        params_file=folder / "params.yaml",
        scratch_root=tmp_path / "scratch",
    )
    rollouts = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    ledger = read_table(tmp_path / "ledger.parquet", LEDGER).to_pylist()
    for row, entry in zip(rollouts, ledger, strict=True):
        origins = row["token_origin"]
        assert entry["status"] == "trained"
        assert entry["num_trained_tokens"] == origins.count(Origin.SAMPLED)
        assert entry["num_cue_tokens"] == origins.count(Origin.CUE)
        assert entry["num_environment_tokens"] == origins.count(Origin.ENVIRONMENT) > 0
    tokens = json.loads((tmp_path / "metrics.json").read_text())["tokens"]
    assert tokens["forced"] == sum(
        entry["num_cue_tokens"] + entry["num_environment_tokens"] for entry in ledger
    )
    assert sum(tokens.values()) == sum(len(row["completion_tokens"]) for row in rollouts)
    assert (tmp_path / "i1" / "model.safetensors").is_file()


def test_a_reply_that_passes_for_the_policys_own_is_refused(folder: Path, tmp_path: Path) -> None:
    rows = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    rows[0]["token_origin"] = [Origin.SAMPLED] * len(rows[0]["token_origin"])
    write_table(tmp_path / "rollouts.parquet", ROLLOUTS, rows)
    with pytest.raises(BadInput, match="column num_sampled_thinking_tokens: 1 of 8 rows"):
        checked(folder, tmp_path / "rollouts.parquet", tmp_path / "validation.json")
