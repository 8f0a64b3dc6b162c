"""A policy folder (Hugging Face layout, safetensors) to a torch model and back."""

import json
from pathlib import Path

import torch
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from stages.contracts.companions import CONFIG_FILE
from stages.contracts.render import Renderer
from stages.engines.adapters import (
    BASE,
    has_adapter,
    is_adapter,
    save_adapter,
    save_tensors,
    with_adapter,
)
from stages.engines.architecture import attention_of, keep_masks_whole
from stages.engines.device import device
from stages.running.errors import REMEDY, BadInput, lack_of

WEIGHTS_FILE = "model.safetensors"


def load_policy(folder: Path) -> PreTrainedModel:
    """Load a policy in float32 for exact log-probabilities.

    Raises:
        BadInput: the folder is missing or its files are corrupt.
    """
    complaint = f"policy {folder} is corrupt"
    if is_adapter(folder):
        return with_adapter(open_model(folder / BASE, complaint, REMEDY), folder)
    if not (folder / WEIGHTS_FILE).is_file():
        raise BadInput(f"policy {folder} is missing; `dvc repro` makes it")
    return open_model(folder, complaint, REMEDY)


def open_model(folder: Path, complaint: str, remedy: str) -> PreTrainedModel:
    """The model in a folder, in float32, on the accelerator.

    Raises:
        BadInput: `complaint`, the reason and the `remedy`.
    """
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
        if lack_of(error):
            raise
        raise BadInput(f"{complaint} ({error}); {remedy}") from None
    assert isinstance(model, PreTrainedModel)
    if loaded["missing_keys"]:  # transformers would go on with random weights in their place
        missing = sorted(loaded["missing_keys"])
        raise BadInput(f"{complaint} (no weights {missing}); {remedy}")
    if model.config._attn_implementation != (right := attention_of(model)):
        model.set_attn_implementation(right)
    keep_masks_whole(model)
    return model.to(device())


def save_policy(
    model: PreTrainedModel, renderer: Renderer, folder: Path, start: Path | None = None
) -> None:
    """Write weights, configuration and tokenizer; the bytes depend on nothing else.

    Of an adapter the weights are its own, and those of its base, which is in or at `start`, where
    it was loaded from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if has_adapter(model):
        assert start is not None
        save_adapter(model, start, folder)
    else:
        tied = set(model.all_tied_weights_keys)
        stored = {name: t for name, t in model.state_dict().items() if name not in tied}
        save_tensors(stored, folder / WEIGHTS_FILE)
    config = model.config.to_diff_dict()
    for volatile in ("_name_or_path", "transformers_version"):
        config.pop(volatile, None)
    config["architectures"] = [type(model).__name__]
    (folder / CONFIG_FILE).write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    renderer.save(folder)
