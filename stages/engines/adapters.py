"""Adapters: a policy that is another policy's weights, held still, and a small change to them.

They are LoRA's, by peft.

An adapter's folder has the change (`adapter_model.safetensors`, `adapter_config.json`, as peft and
vLLM read them), a configuration and tokenizer like any policy's, and in `base/` the whole folder of
the policy that it changes. So it can be loaded, served, pushed and audited by itself. The base's
files are linked where the file system can, and DVC keeps equal files once in its cache and in a
remote, however many adapters hold them.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from stages.running.errors import REMEDY, BadInput, lack_of
from stages.running.publish import read_json

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"
BASE = "base"
NAME = "default"  # peft's own, of a model's only adapter


@runtime_checkable
class Lora(Protocol):
    """An adapter as params.yaml asks for it."""

    rank: int
    alpha: int
    target_modules: list[str]


class Shape(NamedTuple):
    """An adapter's shape; `target_modules` are sorted."""

    rank: int
    alpha: int
    target_modules: list[str]


def is_adapter(folder: Path) -> bool:
    """Whether a policy's folder is an adapter's."""
    return (folder / ADAPTER_CONFIG_FILE).is_file()


def read_shape(folder: Path) -> Shape:
    """The shape of the adapter in `folder`.

    Raises:
        BadInput: its configuration is corrupt.
    """
    said = read_json(folder / ADAPTER_CONFIG_FILE)
    try:
        return _shape_of(int(said["r"]), int(said["lora_alpha"]), said["target_modules"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / ADAPTER_CONFIG_FILE} is no LoRA's ({error}); {REMEDY}") from None


def adapt(model: PreTrainedModel, lora: Lora | None, seed: int, key: str) -> None:
    """Leave to training what the recipe says: all of a policy, or its adapter alone.

    The adapter is new where the policy has none.

    A new adapter is drawn from `seed` and changes nothing yet. `key` is where params.yaml says
    `lora`.

    Raises:
        BadInput: the policy is an adapter of another shape, or the recipe knows of none; or it
            lacks a module.
    """
    present = _shape(model)
    wanted = None if lora is None else _shape_of(lora.rank, lora.alpha, lora.target_modules)
    if present is not None and wanted != present:
        raise BadInput(
            f"{key}: {wanted and wanted._asdict()}, but the policy is an adapter, and is trained "
            f"on in its own shape: {present._asdict()}"
        )
    if present is not None or wanted is None:
        return
    modules = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    unknown = sorted(set(wanted.target_modules) - modules)
    if unknown:
        raise BadInput(
            f"{key}.target_modules: the policy has no module named {unknown[0]} ({len(unknown)} "
            "unknown); its linear ones are "
            f"{sorted({n.rsplit('.', 1)[-1] for n, m in model.named_modules() if _is_linear(m)})}"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _inject(model, wanted)


def with_adapter(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """The base of an adapter with the change in `folder` in place.

    Raises:
        BadInput: its weights are corrupt, or not those that its configuration says.
    """
    path = folder / ADAPTER_FILE
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        if lack_of(error):
            raise
        raise BadInput(f"policy {folder} is corrupt ({error}); {REMEDY}") from None
    _inject(base, read_shape(folder))
    wanted = _tensors(base)
    if stored.keys() != wanted.keys():
        odd = sorted(stored.keys() ^ wanted.keys())
        raise BadInput(f"{path}: {len(odd)} tensor(s) missing or unknown; first {odd[0]}; {REMEDY}")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(stored[name])
    return base


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors to a file that whoever may read the folder's other files can read.

    safetensors leaves one for its owner alone, whatever the umask: in a shared cache a colleague
    would have a policy without weights.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file({name: t.contiguous() for name, t in tensors.items()}, path, {"format": "pt"})
    path.chmod(mode)


def save_adapter(model: PreTrainedModel, start: Path, folder: Path) -> None:
    """Write a model's adapter, and its base from the folder that the model was loaded from.

    That is the folder of a policy or of an adapter.
    """
    shape = _shape(model)
    assert shape is not None
    save_tensors(_tensors(model), folder / ADAPTER_FILE)
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BASE,
        "r": shape.rank,
        "lora_alpha": shape.alpha,
        "lora_dropout": 0.0,
        "target_modules": shape.target_modules,
        "bias": "none",
        "inference_mode": True,
    }
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / ADAPTER_CONFIG_FILE).write_text(text, encoding="utf-8")
    shutil.copytree(
        start / BASE if is_adapter(start) else start, folder / BASE, copy_function=_link
    )


def has_adapter(model: PreTrainedModel) -> bool:
    """Whether a loaded policy is an adapter on its base."""
    return _shape(model) is not None


def _shape(model: PreTrainedModel) -> Shape | None:
    configs = getattr(model, "peft_config", {})
    if NAME not in configs:
        return None
    config = configs[NAME]
    return _shape_of(config.r, config.lora_alpha, config.target_modules)


def _shape_of(rank: int, alpha: int, target_modules: Iterable[str]) -> Shape:
    return Shape(rank, alpha, sorted(set(target_modules)))


def _inject(model: PreTrainedModel, shape: Shape) -> None:
    """Put an adapter's layers into a model, and leave only them to training."""
    from peft import (
        LoraConfig,
        inject_adapter_in_model,
    )  # takes seconds, and most policies are none

    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=shape.target_modules,
        task_type="CAUSAL_LM",
    )
    inject_adapter_in_model(config, model, NAME)


def _tensors(model: PreTrainedModel) -> dict[str, Float[Tensor, "_ _"]]:
    """The adapter's weights by their names in its file, which are peft's."""
    return {
        f"base_model.model.{name.replace(f'.{NAME}.', '.')}": parameter.detach()
        for name, parameter in model.named_parameters()
        if ".lora_A." in name or ".lora_B." in name
    }


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear)


def _link(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
