"""A policy folder (Hugging Face layout, safetensors) to a torch model and back."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from stages.contracts.errors import BadInput
from stages.contracts.init_params import Checkpoint, ModelShape
from stages.contracts.render import TOKENIZER_FILE, Renderer
from stages.engines.device import device

INIT_STD = 0.02
FOURIER_PERIODS = 20
FOURIER_SCALE = 0.05
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


def load_policy(folder: Path) -> PreTrainedModel:
    """Load a policy in float32 for exact log-probabilities.

    Raises:
        BadInput: the folder is missing or its files are corrupt.
    """
    if not (folder / WEIGHTS_FILE).is_file():
        raise BadInput(f"policy {folder} is missing; `dvc repro` makes it")
    return _open(folder, f"policy {folder} is corrupt", "delete it and run `dvc repro`")


def checkpoint_renderer(start: Checkpoint) -> Renderer:
    """The tokenizer of an existing policy to start from, which is first seen to be the one that params.yaml means.

    Raises:
        BadInput: a file is missing, the weights are others, or the tokenizer is corrupt.
    """
    folder = Path(start.checkpoint)
    missing = [name for name in (WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE) if not (folder / name).is_file()]
    if missing:
        raise BadInput(f"checkpoint {folder}: {', '.join(missing)} missing; it must be a policy's folder")
    with (folder / WEIGHTS_FILE).open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != start.sha256:
        raise BadInput(
            f"checkpoint {folder}: the sha256 of {WEIGHTS_FILE} is {found}, not {start.sha256}; these are other "
            "weights: fetch the right ones, or mend model.sha256 in params.yaml"
        )
    try:
        return Renderer(Tokenizer.from_file(str(folder / TOKENIZER_FILE)))
    except BadInput as error:
        raise BadInput(f"checkpoint {folder}: {error}") from None
    except Exception as error:  # the tokenizers library raises bare Exception
        raise BadInput(f"checkpoint {folder}: {TOKENIZER_FILE} is corrupt ({error}); fetch it anew") from None


def load_checkpoint(start: Checkpoint, renderer: Renderer) -> PreTrainedModel:
    """The weights of an existing policy, in float32.

    Raises:
        BadInput: its files are corrupt, or its tokenizer has more tokens than its weights.
    """
    folder = Path(start.checkpoint)
    model = _open(folder, f"checkpoint {folder} cannot be opened", "fetch it anew")
    num_embeddings = model.get_input_embeddings().weight.shape[0]
    if num_embeddings < renderer.vocabulary_size:
        raise BadInput(
            f"checkpoint {folder}: weights for {num_embeddings} tokens, but its tokenizer has "
            f"{renderer.vocabulary_size}; the two are not of one policy"
        )
    return model


def _open(folder: Path, complaint: str, remedy: str) -> PreTrainedModel:
    disable_progress_bar()
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors and transformers raise many kinds for one cause
        raise BadInput(f"{complaint} ({error}); {remedy}") from None
    assert isinstance(model, PreTrainedModel)
    if loaded["missing_keys"]:  # transformers would go on with random weights in their place
        missing = sorted(loaded["missing_keys"])
        raise BadInput(f"{complaint} (no weights {missing}); {remedy}")
    return model.to(device())


def save_policy(model: PreTrainedModel, renderer: Renderer, folder: Path) -> None:
    """Write weights, configuration and tokenizer; the bytes depend on nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    tied = set(model.all_tied_weights_keys)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in tied}
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = model.config.to_diff_dict()
    for volatile in ("_name_or_path", "transformers_version"):
        config.pop(volatile, None)
    config["architectures"] = [type(model).__name__]
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    renderer.save(folder)


def new_policy(shape: ModelShape, renderer: Renderer, token_values: Mapping[str, float], seed: int) -> PreTrainedModel:
    """A Llama-architecture decoder with random weights drawn from `seed`.

    Tokens that stand for numbers start with Fourier features of their value, so that near numbers start out near.
    """
    config = LlamaConfig(
        vocab_size=renderer.vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        max_position_embeddings=shape.max_positions,
        tie_word_embeddings=True,
        bos_token_id=renderer.encode("<bos>")[0],
        eos_token_id=renderer.eos_token,
        pad_token_id=renderer.pad_token,
        dtype="float32",
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * INIT_STD)
            else:
                assert "norm" in name
        embedding = model.get_input_embeddings().weight
        for word, value in token_values.items():
            [token] = renderer.encode(word)
            embedding[token] += _fourier(value, shape.hidden_size)
    return model.to(device())


def _fourier(value: float, size: int) -> Tensor:
    """Sin and cos of `value` over periods from 2 to 200, the rest of the vector zero."""
    periods = torch.logspace(0.3, 2.3, FOURIER_PERIODS, dtype=torch.float64)
    angles = 2 * torch.pi * value / periods
    features = torch.cat([angles.sin(), angles.cos()])[:size]
    return torch.nn.functional.pad(FOURIER_SCALE * features, (0, max(0, size - len(features)))).float()
