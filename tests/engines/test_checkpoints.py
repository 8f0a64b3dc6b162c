"""Checkpoints to start from: found, told apart, refused, and opened as what they are."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.contracts.params.inits.model import Checkpoint, HubCheckpoint
from stages.contracts.render import Renderer
from stages.engines.checkpoints import (
    checkpoint_renderer,
    find_checkpoint,
    load_checkpoint,
)
from stages.engines.policy import WEIGHTS_FILE, save_policy
from stages.engines.starts.files import INDEX_FILE, checkpoint_digest
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from tests.engines.countdown_policy import RENDERER, TASK, logits, policy

TOKENIZERS = Path(__file__).parents[1] / "contracts/tokenizers"


def checkpoint(folder: Path) -> Checkpoint:
    """What params.yaml would say of a folder of one weights file."""
    digest = checkpoint_digest(folder, [WEIGHTS_FILE])
    return Checkpoint(checkpoint=str(folder), sha256=digest)


def test_a_checkpoint_brings_its_weights_and_its_tokenizer(copied: Path) -> None:
    folder = find_checkpoint(checkpoint(copied))
    renderer = checkpoint_renderer(folder, None)
    assert renderer.encode("<bos> 3 T36 << |") == RENDERER.encode("<bos> 3 T36 << |")
    assert torch.equal(logits(load_checkpoint(folder, renderer)), logits(policy()))


def test_a_half_precision_checkpoint_is_trained_and_saved_in_float32(
    copied: Path, tmp_path: Path
) -> None:
    weights = {name: tensor.bfloat16() for name, tensor in load_file(copied / WEIGHTS_FILE).items()}
    save_file(weights, copied / WEIGHTS_FILE, metadata={"format": "pt"})
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    model = load_checkpoint(copied, RENDERER)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    save_policy(model, RENDERER, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == "float32"
    assert {tensor.dtype for tensor in load_file(tmp_path / "saved" / WEIGHTS_FILE).values()} == {
        torch.float32
    }


@pytest.mark.parametrize("name", [WEIGHTS_FILE, "config.json", "tokenizer.json"])
def test_a_checkpoint_without_one_of_its_files_is_refused(name: str, copied: Path) -> None:
    start = checkpoint(copied)
    (copied / name).unlink()
    with pytest.raises(BadInput, match=rf"checkpoint .*: {name} missing"):
        find_checkpoint(start)


def test_other_weights_than_the_digest_says_are_refused(copied: Path) -> None:
    start = checkpoint(copied)
    save_policy(policy(seed=2), RENDERER, copied)
    digest = checkpoint(copied).sha256
    with pytest.raises(BadInput, match=rf"{digest}, not {start.sha256}"):
        find_checkpoint(start)


def test_a_checkpoint_with_a_corrupt_file_is_never_advised_to_be_deleted(copied: Path) -> None:
    config = (copied / "config.json").read_text()
    (copied / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"checkpoint .* cannot be opened .*fetch it anew") as caught:
        load_checkpoint(copied, RENDERER)
    (copied / "config.json").write_text(config)
    (copied / "tokenizer.json").write_text("{")
    with pytest.raises(BadInput, match=r"tokenizer\.json is corrupt") as other:
        checkpoint_renderer(copied, None)
    assert not any("delete" in str(error.value) for error in (caught, other))


def test_code_that_comes_with_a_checkpoint_is_not_run(copied: Path) -> None:
    start = checkpoint(copied)
    config = json.loads((copied / "config.json").read_text())
    mapping = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (copied / "config.json").write_text(
        json.dumps({**config, "model_type": "own", "auto_map": mapping})
    )
    (copied / "own.py").write_text(f"open({str(copied / 'ran')!r}, 'w').close()\n")
    with pytest.raises(BadInput, match="auto_map, which asks for the checkpoint's own code"):
        find_checkpoint(start)
    assert not (copied / "ran").exists()


def test_a_tokenizer_larger_than_the_weights_is_refused(copied: Path) -> None:
    larger = Renderer(load_format(TASK.model_copy(update={"max_result": 199})).tokenizer([]))
    with pytest.raises(
        BadInput,
        match=rf"weights for {RENDERER.vocabulary_size} tokens, .* {larger.vocabulary_size}",
    ):
        load_checkpoint(copied, larger)


def test_a_checkpoint_without_the_special_tokens_is_refused(copied: Path) -> None:
    tokenizer = (copied / "tokenizer.json").read_text().replace("<eos>", "</s>")
    (copied / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(BadInput, match=r"checkpoint .*no <eos> token"):
        checkpoint_renderer(copied, None)


BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json")
"""What the checkpoint of the tests has beside its weights."""


def shard(folder: Path) -> Checkpoint:
    """Cut the weights of a folder in two files with an index; what params.yaml says of them."""
    weights = load_file(folder / WEIGHTS_FILE)
    (folder / WEIGHTS_FILE).unlink()
    names = sorted(weights)
    halves = {f"model-0000{n}-of-00002.safetensors": names[n - 1 :: 2] for n in (1, 2)}
    for file, part in halves.items():
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
    index = {
        "metadata": {},
        "weight_map": {name: file for file, part in halves.items() for name in part},
    }
    (folder / INDEX_FILE).write_text(json.dumps(index))
    printed = subprocess.run(
        ["sha256sum", *sorted([*halves, INDEX_FILE, *BESIDE])],
        cwd=folder,
        capture_output=True,
        check=True,
    ).stdout
    return Checkpoint(checkpoint=str(folder), sha256=hashlib.sha256(printed).hexdigest())


def test_a_checkpoint_is_known_by_what_sha256sum_prints(copied: Path) -> None:
    folder = find_checkpoint(shard(copied))
    assert torch.equal(logits(load_checkpoint(folder, RENDERER)), logits(policy()))


def test_a_shard_that_is_missing_or_elsewhere_is_refused(copied: Path) -> None:
    start = shard(copied)
    (copied / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BadInput, match=r"model-00002-of-00002\.safetensors missing"):
        find_checkpoint(start)
    (copied / INDEX_FILE).write_text(
        json.dumps({"weight_map": {"a": "../../r0/model.safetensors"}})
    )
    with pytest.raises(BadInput, match=r"names \['\.\./\.\./r0"):
        find_checkpoint(start)


def test_pickled_weights_are_refused(copied: Path) -> None:
    start = checkpoint(copied)
    (copied / WEIGHTS_FILE).rename(copied / "pytorch_model.bin")
    with pytest.raises(
        BadInput, match=r"pytorch_model\.bin is a pickle, which is never opened: convert"
    ):
        find_checkpoint(start)


def test_an_end_of_text_that_answers_would_show_is_refused(copied: Path) -> None:
    (copied / "generation_config.json").write_text(
        json.dumps({"eos_token_id": RENDERER.encode("=")})
    )
    with pytest.raises(BadInput, match="does not mark '=', an end of text, as special"):
        checkpoint_renderer(copied, None)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as one fetch asks for: a commit's list of files, and the files."""

    folder: Path
    paths: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.paths.append(self.path)
        if self.path.startswith(f"/api/models/org/name/tree/{REVISION}"):
            files = [
                {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": p.name}
                for p in self.folder.iterdir()
            ]
            self._answer(json.dumps(files).encode())
        elif self.path.startswith(f"/org/name/resolve/{REVISION}/"):
            self._answer((self.folder / self.path.rsplit("/", 1)[1]).read_bytes())
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


REVISION = "0123456789" * 4


@pytest.fixture
def hub(
    copied: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A hub on loopback with a checkpoint, code and pickles; and where it is fetched to."""
    (copied / "own.py").write_text("raise SystemExit(1)")
    (copied / "pytorch_model.bin").write_bytes(b"pickle")
    Hub.folder, Hub.paths = copied, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    home = tmp_path_factory.mktemp("hub")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(home))
    yield home
    server.shutdown()
    server.server_close()


def test_a_commit_of_the_hub_is_fetched_without_its_code(hub: Path, copied: Path) -> None:
    folder = find_checkpoint(
        HubCheckpoint(hub="org/name", revision=REVISION, sha256=checkpoint(copied).sha256)
    )
    assert folder.is_relative_to(hub)
    assert (folder / WEIGHTS_FILE).read_bytes() == (copied / WEIGHTS_FILE).read_bytes()
    assert not any(path.endswith((".py", ".bin")) for path in Hub.paths)
    with pytest.raises(
        BadInput, match=r"checkpoint org/other at 0123.*no such repository or commit"
    ):
        find_checkpoint(HubCheckpoint(hub="org/other", revision=REVISION, sha256="0" * 64))


def test_a_tokenizer_that_drops_merges_at_random_drops_none(tmp_path: Path) -> None:
    told = json.loads((TOKENIZERS / "bytelevel.json").read_text(encoding="utf-8"))
    told["model"]["dropout"] = 0.9
    (tmp_path / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    (tmp_path / "config.json").write_text("{}")
    renderer = checkpoint_renderer(tmp_path, None)
    whole = Renderer.of_policy(TOKENIZERS / "bytelevel.json")
    text = "What is the answer to this question? " * 9
    assert renderer.encode(text) == whole.encode(text)


def test_a_template_behind_a_byte_order_mark_is_refused(copied: Path) -> None:
    (copied / "chat_template.jinja").write_text("{{ messages[0].content }}", encoding="utf-8-sig")
    with pytest.raises(BadInput, match=r"chat_template\.jinja begins with a byte order mark"):
        checkpoint_renderer(copied, None)
