"""params.yaml: what is in the repository loads, and every kind of mistake is refused by name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from stages.contracts.params.inits.model import HubCheckpoint
from stages.contracts.params.whole import Params, load
from stages.contracts.policy_tree import ancestors
from stages.running.errors import BadInput

ROOT = Path(__file__).parents[3]
FILES = [
    ROOT / "params.yaml",
    *sorted((ROOT / "profiles").glob("*.yaml")),
    *sorted((ROOT / "tests" / "profiles").glob("*.yaml")),
]
Raw = dict[str, Any]
ABSENT = object()
ROUND = {"parent": "r0", "reference": "r0", "recipe": "information", "judge": "exact", "seed": 1}
SAMPLED = {"num_probes": 4, "answer_tokens": 13, "temperature": 1.0}


def raw() -> Raw:
    """The repository's params.yaml with rounds of its own."""
    content = yaml.safe_load(FILES[0].read_text(encoding="utf-8"))
    content["rounds"] = {
        "i1": dict(ROUND),
        "i2": {**ROUND, "parent": "i1", "seed": 2},
    }
    content["exams"] = {"r0": {"judge": "exact"}, "i2": {"judge": "exact"}}
    return content


def text_task(content: Raw) -> None:
    """Make it a reasoning-gym task that everything else fits."""
    tier = {"difficulty": 1, "num_train": 2, "num_heldout": 2, "config": {}}
    text = {"kind": "trained", "vocabulary_size": 300}
    content["task"] = {"name": "reasoning_gym", "family": "chain_sum", "seed": 1, "text": text}
    content["task"]["tiers"] = [tier]
    for init in content["inits"].values():
        init["demonstrations"] = {"strategy": "direct", "num_demos": 4}
    for recipe in content["recipes"].values():
        recipe["rollout"]["difficulties"] = [1]
        recipe["probe"] = {
            "estimator": "forced_answer",
            "num_probes": 4,
            "answer_tokens": 8,
            "temperature": 1.0,
        }


CHAT = {
    "kind": "chat",
    "thinking_start": "<think>\n",
    "thinking_end": "</think>",
    "answer_start": "\n\n",
    "segment_ends": ["\n\n"],
}
SFT = yaml.safe_load(FILES[0].read_text(encoding="utf-8"))["inits"]["r0"]["sft"]
JUDGE = {"base": "r0", "round": "i1", "seed": 1, "sft": SFT}


def put(key: str, value: object) -> Callable[[Raw], None]:
    """An edit that sets, or with ABSENT removes, one dotted key."""

    def edit(content: Raw) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        place: Any = content
        for part in way:
            place = place[part]
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value

    return edit


def written(folder: Path, *edits: Callable[[Raw], None]) -> Path:
    content = raw()
    for edit in edits:
        edit(content)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_files_of_the_repository_load(file: Path) -> None:
    settings = load(file)
    assert settings.rounds
    assert all(ancestors(settings.rounds, name)[-1] in settings.inits for name in settings.rounds)


def test_a_text_task_loads(tmp_path: Path) -> None:
    assert load(written(tmp_path, text_task)).task.name == "reasoning_gym"


def chat_task(content: Raw) -> None:
    """Make it a reasoning-gym task in the words of a checkpoint."""
    text_task(content)
    content["task"]["text"] = CHAT
    content["inits"]["r0"]["model"] = {"hub": "org/name", "revision": "0" * 40, "sha256": "0" * 64}
    content["inits"]["r0"]["sft"]["epochs"] = 0


def test_a_chat_task_loads_and_its_checkpoint_may_be_the_first_policy(tmp_path: Path) -> None:
    init = load(written(tmp_path, chat_task)).inits["r0"]
    assert isinstance(init.model, HubCheckpoint)
    assert init.sft.epochs == 0


MISTAKES: list[tuple[str, list[Callable[[Raw], None]], list[str]]] = [
    (
        "unknown_key",
        [put("recipes.information.update.loss_", "dapo")],
        ["recipes.information.update", "loss_", "'loss'"],
    ),
    ("unknown_key_at_the_top", [put("recipe", {})], ["recipe", "'recipes'"]),
    (
        "unknown_key_of_a_union",
        [put("recipes.information.probe.K", 4)],
        ["probe", "K", "'micro_batch_tokens'"],
    ),
    ("missing_key", [put("exam.seed", ABSENT)], ["exam.seed", "Field required"]),
    (
        "a_ray_client",
        [
            put(
                "compute.inference.where",
                {"kind": "ray", "address": "ray://head:10001", "num_workers": 2},
            )
        ],
        ["compute.inference.where", "address", "ray://head:10001"],
    ),
    (
        "an_engine_that_nobody_made",
        [put("compute.inference.engine", "sglang")],
        ["compute.inference.engine", "'vllm'", "'sglang'"],
    ),
    (
        "a_place_without_its_keys",
        [put("compute.inference.where", {"kind": "ray"})],
        ["compute.inference.where", "address", "num_workers"],
    ),
    ("missing_section", [put("evaluate", ABSENT)], ["evaluate", "Field required"]),
    (
        "above_range",
        [put("recipes.information.update.clip_low", 1.5)],
        ["update.clip_low", "equal to 1", "1.5"],
    ),
    (
        "below_range",
        [put("recipes.information.rollout.group_size", 1)],
        ["rollout.group_size", "equal to 2", "1"],
    ),
    (
        "zero_temperature",
        [put("exam.temperature", 0.0)],
        ["exam.temperature", "greater than 0", "0.0"],
    ),
    ("not_a_number", [put("exam.temperature", float("nan"))], ["exam.temperature", "nan"]),
    (
        "infinite",
        [put("inits.r0.sft.optimizer.learning_rate", float("inf"))],
        ["optimizer.learning_rate", "finite"],
    ),
    (
        "text_for_number",
        [put("exam.num_samples", "2")],
        ["exam.num_samples", "valid integer", "'2'"],
    ),
    (
        "fraction_for_count",
        [put("exam.num_samples", 2.5)],
        ["exam.num_samples", "valid integer", "2.5"],
    ),
    (
        "flag_for_count",
        [put("exam.num_samples", True)],
        ["exam.num_samples", "valid integer", "True"],
    ),
    (
        "number_for_flag",
        [put("recipes.information.update.mask_truncated", 1)],
        ["mask_truncated", "valid boolean"],
    ),
    ("list_for_section", [put("exam", [])], ["exam", "valid dictionary"]),
    ("nothing_to_examine", [put("exams", {})], ["exams", "at least 1"]),
    (
        "objective",
        [put("recipes.information.update.objective.name", "info")],
        ["update.objective", "'information'", "info"],
    ),
    (
        "estimator",
        [put("recipes.information.probe.estimator", "x")],
        ["probe", "'set_likelihood'", "'forced_answer'"],
    ),
    ("task", [put("task.name", "chess")], ["task", "'countdown'", "'reasoning_gym'", "chess"]),
    ("name", [put("rounds.i 3", ROUND)], ["rounds.i 3", "pattern"]),
    (
        "heads_that_do_not_fit",
        [put("inits.r0.model.num_heads", 3)],
        ["inits.r0.model", "num_heads 3", "multiple of"],
    ),
    (
        "budgets_that_fall",
        [put("exam.budgets_tokens", [0, 8, 8])],
        ["exam", "budgets_tokens", "[0, 8, 8]"],
    ),
    (
        "missing_parent",
        [put("rounds.i2.parent", "i9")],
        ["rounds.i2.parent", "i9", "'r0', 'i1', 'i2'"],
    ),
    ("own_parent", [put("rounds.i2.parent", "i2")], ["rounds.i2.parent", "circular", "i2 -> i2"]),
    (
        "circular_parents",
        [put("rounds.i1.parent", "i2")],
        ["rounds.i1.parent", "circular", "i1 -> i2 -> i1"],
    ),
    (
        "circle_further_up",
        [
            put("rounds.i2.parent", "i3"),
            put("rounds.i3", {**ROUND, "parent": "i2"}),
            put("rounds.i1.parent", "i2"),
        ],
        ["rounds.i1.parent", "circular", "i1 -> i2 -> i3 -> i2"],
    ),
    (
        "unknown_recipe",
        [put("rounds.i2.recipe", "info")],
        ["rounds.i2.recipe", "info", "'information'"],
    ),
    ("unknown_exam", [put("exams.i7", {"judge": "exact"})], ["exams", "i7", "'r0', 'i1', 'i2'"]),
    (
        "two_of_one_name",
        [put("rounds.r0", {**ROUND, "parent": "i1"})],
        ["r0", "init", "round", "rename"],
    ),
    (
        "revision_that_is_no_commit",
        [chat_task, put("inits.r0.model.revision", "main")],
        ["inits.r0.model", "revision"],
    ),
    (
        "chat_without_checkpoint",
        [text_task, put("task.text", CHAT)],
        ["inits.r0.model", "kind chat", "checkpoint"],
    ),
    (
        "untrained_random_weights",
        [put("inits.r0.sft.epochs", 0)],
        ["inits.r0", "random weights", "train it"],
    ),
    (
        "untrained_judge",
        [put("judges", {"g1": {**JUDGE, "sft": {**SFT, "epochs": 0}}})],
        ["judges.g1", "nothing"],
    ),
    (
        "strategy_of_another_task",
        [
            text_task,
            put(
                "inits.r0.demonstrations",
                {**raw()["inits"]["r0"]["demonstrations"], "difficulty_weights": {1: 1.0}},
            ),
        ],
        ["inits.r0.demonstrations.strategy", "revise", "reasoning_gym", "['direct']"],
    ),
    (
        "strategy",
        [put("inits.r0.demonstrations.strategy", "guess")],
        ["demonstrations", "guess", "'search'"],
    ),
    (
        "way_to_cut",
        [put("recipes.information.segments.cut", "line")],
        ["segments", "'cutpoint'", "line"],
    ),
    (
        "objective_without_its_keys",
        [put("recipes.information.update.objective", "information")],
        ["update.objective", "valid dictionary"],
    ),
    (
        "credit_baseline",
        [put("recipes.information.update.objective.credit_baseline", "td")],
        ["update.objective.information.credit_baseline", "'group_mean'", "td"],
    ),
    ("loss", [put("recipes.information.update.loss", "ppo")], ["update.loss", "'gspo'", "ppo"]),
    (
        "objective_without_a_key_of_its_own",
        [put("recipes.information.update.objective", {"name": "offline", "gain": "progress"})],
        ["update.objective.offline.keep_frac", "Field required"],
    ),
    (
        "key_of_another_objective",
        [put("recipes.information.update.objective.keep_frac", 0.5)],
        ["update.objective.information", "no key named keep_frac", "'alpha'", "'gain'"],
    ),
    (
        "first_attempt_held_by_nothing",
        [put("recipes.information.update.objective", {"name": "correction_start"})],
        ["recipes.information.update", "correction_start", "needs kl_coefficient"],
    ),
    (
        "correction_without_a_ratio",
        [
            put(
                "recipes.information.update.objective",
                {"name": "offline", "gain": "progress", "keep_frac": 0.5},
            ),
            put("recipes.information.update.importance_correction", {"kind": "mask", "cap": 2.0}),
        ],
        ["recipes.information.update", "offline", "no use for importance_correction"],
    ),
    (
        "two_ways_to_pay_parts",
        [
            text_task,
            put("task.partial_credit", True),
            put("task.verifier", {"source": "mine:Verifier", "sha256": "0" * 64}),
        ],
        ["task.reasoning_gym", "partial_credit", "verifier"],
    ),
    (
        "gain_that_is_not_measured",
        [
            put("recipes.information.update.objective.gain", "info_gain_nats"),
            put("recipes.information.probe", {"estimator": "forced_answer", **SAMPLED}),
        ],
        ["recipes.information", "info_gain_nats", "forced_answer", "'answer_likelihood'"],
    ),
    (
        "fewer_probes_at_most_than_at_first",
        [
            put(
                "recipes.information.probe",
                {
                    "estimator": "forced_answer",
                    **SAMPLED,
                    "adaptive": {"max_probes": 3, "max_stderr": 0.1},
                },
            )
        ],
        ["recipes.information.probe", "max_probes 3", "num_probes 4"],
    ),
    (
        "answer_without_room",
        [put("recipes.information.rollout.answer_tokens", 8)],
        ["recipes.information.rollout.answer_tokens", "8", "difficulty 3", "takes 9"],
    ),
    (
        "unknown_reference",
        [put("rounds.i2.reference", "i9")],
        ["rounds.i2.reference", "i9", "'r0', 'i1', 'i2'"],
    ),
    ("unknown_judge", [put("rounds.i2.judge", "g1")], ["rounds.i2.judge", "g1", "['exact']"]),
    ("judge_of_an_exam", [put("exams.r0.judge", "g1")], ["exams.r0.judge", "g1", "['exact']"]),
    ("judge_named_exact", [put("judges.exact", JUDGE)], ["judges.exact", "rename"]),
    (
        "judge_without_a_round",
        [put("judges.g1", {**JUDGE, "round": "i9"})],
        ["judges.g1.round", "i9", "'i1', 'i2'"],
    ),
    (
        "judge_of_its_own_round",
        [put("judges.g1", JUDGE), put("rounds.i1.judge", "g1")],
        ["rounds and judges need each other", "g1", "i1"],
    ),
    (
        "checkpoint_without_a_digest",
        [put("inits.r0.model", {"checkpoint": "data/bases/b", "sha256": "12"})],
        ["inits.r0.model", "sha256", "12"],
    ),
    (
        "solutions_that_cannot_be_listed",
        [
            text_task,
            put("recipes.outcome.probe", {"estimator": "set_likelihood", "micro_batch_tokens": 8}),
        ],
        ["recipes.outcome.probe.estimator", "set_likelihood", "'forced_answer'"],
    ),
]


@pytest.mark.parametrize(
    ("edits", "named"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_a_mistake_is_refused_and_named(
    edits: list[Callable[[Raw], None]], named: list[str], tmp_path: Path
) -> None:
    path = written(tmp_path, *edits)
    with pytest.raises(BadInput) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    for part in named:
        assert part in message
    assert "\nFor further information" not in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path, put("exam.num_samples", 0), put("evaluate.confidence", 2.0), put("exam.seed", -1)
    )
    with pytest.raises(BadInput, match=re.escape(f"{path}: 3 problem(s)")) as refused:
        load(path)
    assert all(
        key in str(refused.value)
        for key in ("exam.num_samples", "evaluate.confidence", "exam.seed")
    )


def test_a_number_that_yaml_reads_as_text_is_shown_as_text(tmp_path: Path) -> None:
    path = written(tmp_path)
    text = path.read_text()
    path.write_text(re.sub(r"std_epsilon: \S+", "std_epsilon: 1e-4", text))
    with pytest.raises(BadInput, match=r"std_epsilon: Input should be a valid number.*'1e-4'"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"task: [", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"", "valid dictionary"),
        (b"- 1", "valid"),
    ],
)
def test_a_file_that_is_no_params_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(BadInput, match=message):
        load(tmp_path / "params.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        load(tmp_path / "params.yaml")


def test_a_policy_knows_its_line() -> None:
    settings = Params.model_validate(raw())
    assert ancestors(settings.rounds, "i2") == ["i2", "i1", "r0"]
    assert ancestors(settings.rounds, "r0") == ["r0"]


def test_settings_are_frozen() -> None:
    settings = Params.model_validate(raw())
    with pytest.raises(ValidationError, match="frozen"):
        settings.exam.seed = 3


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(FILES[0].read_text().replace("exams:", "report: {}\nexams:", 1))
    with pytest.raises(BadInput, match="key report stands twice"):
        load(file)
