"""An initial policy: what each token of a demonstration weighs, and what training starts from."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from fixtures.checkouts import PROFILES, ROOT
from stages import demonstrate, examine, prepare, rollout, sft
from stages.contracts.params.inits.sft import LossWeights
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.engines.adapters import ADAPTER_FILE, is_adapter
from stages.engines.judging import is_exact
from stages.engines.policy import WEIGHTS_FILE
from stages.engines.starts.files import checkpoint_digest
from stages.running.errors import BadInput
from stages.running.publish import read_json
from stages.tasks.formats import load_format
from stages.tasks.text_format import TextFormat

EVERYTHING = load(ROOT / "params.yaml")
WEIGHTS = LossWeights(attempt=0.5, verdict=4.0, answer=2.0)
FORM = load_format(EVERYTHING.task)


def test_each_token_weighs_what_it_is() -> None:
    renderer = Renderer(FORM.tokenizer([]))
    prompt, text = "<bos> 3 5 7 T36 :", "3 + 5 8 << 7 + 5 12 = # 7 + 5"
    [example] = sft.render(FORM, renderer, [prompt], [text], WEIGHTS)
    assert example.tokens == [*renderer.encode(f"{prompt} {text}"), renderer.eos_token]
    attempts = [0.5] * 4 + [4.0] + [0.5] * 4 + [4.0]
    assert (
        example.weights == [0.0] * 6 + attempts + [0.5] + [2.0] * 4
    )  # cue; three words, end of text


def test_an_attempt_without_a_verdict_weighs_as_one() -> None:
    renderer = Renderer(FORM.tokenizer([]))
    [example] = sft.render(FORM, renderer, ["<bos> 3 5 T8 :"], ["3 + 5 8 | # 5 + 3 8"], WEIGHTS)
    assert example.weights == [0.0] * 5 + [0.5] * 6 + [2.0] * 5


def workplace(folder: Path) -> dict[str, Any]:
    """Problems and few demonstrations of the tiny profile in `folder`; what params.yaml holds."""
    content = yaml.safe_load((PROFILES / "tiny.yaml").read_text())
    content["inits"]["r0"]["demonstrations"]["num_demos"] = 120
    content["inits"]["r0"]["sft"]["epochs"] = 1
    save(content, folder)
    prepare.main(
        folder / "problems.parquet",
        folder / "solutions.parquet",
        folder / "format.json",
        folder / "exact",
        folder / "params.yaml",
    )
    demonstrate.main(
        "r0", folder / "problems.parquet", folder / "demos.parquet", folder / "params.yaml"
    )
    return content


def save(content: dict[str, Any], folder: Path) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


def train(folder: Path, name: str) -> Path:
    sft.main(
        init="r0",
        problems=folder / "problems.parquet",
        demos=folder / "demos.parquet",
        policy=folder / name,
        metrics=folder / f"{name}.json",
        code=folder / "params.yaml",
        params_file=folder / "params.yaml",
        scratch_root=folder / "scratch",
    )
    return folder / name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a policy `r0` in it, trained a little from random weights; its params."""
    folder = tmp_path_factory.mktemp("sft")
    content = workplace(folder)
    train(folder, "r0")
    return folder, content


@pytest.fixture
def started(trained: tuple[Path, dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """The same with an init that starts from that policy, and hardly learns."""
    folder, content = trained
    content = yaml.safe_load(yaml.safe_dump(content))
    digest = checkpoint_digest(folder / "r0", [WEIGHTS_FILE])
    content["inits"]["r0"]["model"] = {"checkpoint": str(folder / "r0"), "sha256": digest}
    content["inits"]["r0"]["sft"]["optimizer"]["learning_rate"] = 1e-6
    save(content, folder)
    return folder, content


def test_prepare_names_the_judge_that_needs_no_training(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = trained
    assert [path.name for path in (folder / "exact").iterdir()] == ["judge.json"]
    assert is_exact(folder / "exact")


def test_training_from_a_checkpoint_moves_its_weights_a_little(
    started: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = started
    before = {path.name: path.read_bytes() for path in (folder / "r0").iterdir()}
    policy = train(folder, "r1")
    old, new = load_file(folder / "r0" / WEIGHTS_FILE), load_file(policy / WEIGHTS_FILE)
    assert old.keys() == new.keys()
    moved = max(float((old[name] - new[name]).abs().max()) for name in old)
    num_steps = read_json(folder / "r1.json")["num_steps"]
    assert 0 < moved < 2e-6 * num_steps
    assert before == {path.name: path.read_bytes() for path in (folder / "r0").iterdir()}
    assert (policy / "tokenizer.json").read_bytes() == before["tokenizer.json"]


def test_without_an_epoch_the_checkpoint_itself_is_the_policy(
    started: tuple[Path, dict[str, Any]],
) -> None:
    folder, content = started
    content["inits"]["r0"]["sft"]["epochs"] = 0
    save(content, folder)
    policy = train(folder, "untrained")
    assert (policy / WEIGHTS_FILE).read_bytes() == (folder / "r0" / WEIGHTS_FILE).read_bytes()
    assert read_json(folder / "untrained.json") == {
        "num_steps": 0,
        "final_loss": None,
        "loss_curve": [],
    }


def test_training_from_a_checkpoint_gives_the_same_bytes_again(
    started: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = started
    one, two = (train(folder, name) / WEIGHTS_FILE for name in ("again", "and_again"))
    assert one.read_bytes() == two.read_bytes()


def test_an_adapter_of_a_checkpoint_is_trained(started: tuple[Path, dict[str, Any]]) -> None:
    folder, content = started
    content["inits"]["r0"]["sft"]["lora"] = {
        "rank": 8,
        "alpha": 16,
        "target_modules": ["q_proj", "v_proj"],
    }
    content["inits"]["r0"]["sft"]["optimizer"]["learning_rate"] = 1e-3
    save(content, folder)
    policy = train(folder, "adapter")
    assert is_adapter(policy)
    assert (policy / "base" / WEIGHTS_FILE).read_bytes() == (
        folder / "r0" / WEIGHTS_FILE
    ).read_bytes()
    changes = load_file(policy / ADAPTER_FILE)
    assert all(bool(change.any()) for change in changes.values())
    content["inits"]["r0"]["model"] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_layers": 2,
        "num_heads": 2,
    }
    content["inits"]["r0"]["model"]["max_positions"] = 128
    save(content, folder)
    with pytest.raises(BadInput, match="lora changes weights that are there"):
        load(folder / "params.yaml")


def test_a_checkpoint_that_lacks_the_tasks_words_is_refused(
    started: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = started
    start = Path(load(folder / "params.yaml").inits["r0"].model.checkpoint)
    assert sft.load_renderer(start, FORM, ["<bos> 3 5 T36 : 99"]).cue_tokens(FORM)
    with pytest.raises(BadInput, match=r"2 word\(s\) .* first '!'; start from"):
        sft.load_renderer(start, FORM, ["<bos> 3 5 T136 :", "3 * 5 15 ! # 5"])
    with pytest.raises(BadInput, match=r"6 word\(s\)"):
        sft.load_renderer(start, TextFormat(300), ["<bos>What is six times seven"])


def test_words_come_back_through_a_tokenizer_of_bytes_as_well() -> None:
    form = TextFormat(300)
    renderer = Renderer(form.tokenizer(["What is 6 times 7?"]))
    assert not sft.lost_words(renderer, [*form.segment_ends, "<bos>What", "überhaupt", "7?"])


def test_a_policy_too_short_for_its_demonstrations_is_refused(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    content = copy.deepcopy(trained[1])
    content["inits"]["r0"]["model"]["max_positions"] = 16
    save(content, tmp_path)
    with pytest.raises(BadInput, match=r"inits\.r0: a policy of 16 positions cannot hold the \d+"):
        train(tmp_path, "short")
    assert not (tmp_path / "short").exists()


@pytest.mark.parametrize(("stage", "needed"), [("rollout", 132), ("examine", 129)])
def test_a_policy_too_short_for_what_it_is_asked_is_refused(
    stage: str, needed: int, trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """The longest prompt of the tiny profile has 6 tokens: bos, three numbers, target, colon."""
    folder, content = trained[0], copy.deepcopy(trained[1])
    content["exam"]["budgets_tokens"] = [0, 27, 113]  # 6 + 113 + 1, an answer of 9 or 12
    content["recipes"]["information"]["rollout"]["budget_tokens"] = 113
    save(content, tmp_path)
    inputs = {
        "policy": folder / "r0",
        "problems": folder / "problems.parquet",
        "text_format": folder / "format.json",
        "code": folder / "params.yaml",
        "params_file": tmp_path / "params.yaml",
        "scratch_root": tmp_path / "scratch",
    }
    tables = {name: tmp_path / name for name in ("answers", "thoughts")}
    sample = {
        "rollout": lambda: rollout.main("i1", rollouts=tmp_path / "rollouts", **inputs),
        "examine": lambda: examine.main("r0", **tables, **inputs),
    }[stage]
    with pytest.raises(BadInput, match=f"of 128 positions cannot hold the {needed} tokens"):
        sample()
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
