"""Make a tiny checkpoint with random weights, laid out as a chat model of the Hugging Face hub is.

Its tokenizer is trained on the questions of a text task, which stage `prepare` has drawn; a chat
template, thinking markers and two stop tokens come with it. With it the whole way of a text model
can be gone on two CPU cores: `docs/text-models.md`.

Example: python -m experiments.tiny_checkpoint --folder data/checkpoints/tiny --problems
data/problems.parquet
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from stages.contracts.storage.reading import read_table
from stages.contracts.tables.problems import PROBLEMS
from stages.engines.starts.files import checkpoint_digest
from stages.running.errors import command
from stages.running.publish import write_json

Family = Literal["qwen3", "llama", "gemma2", "gemma3"]
PAD, START, END, OTHER_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|end_of_turn|>"
MARKERS = ("<think>", "</think>")
TEMPLATE = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content | trim }}<|im_end|>\n"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPE: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
WINDOWED: Mapping[str, Any] = {
    "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 32,
}
CONFIGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "qwen3": ("qwen3", {"tie_word_embeddings": False}),
    "llama": ("llama", {}),
    "gemma2": (
        "gemma2",
        {**WINDOWED, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
    ),
    "gemma3": ("gemma3_text", WINDOWED),
}
"""Model type of each family, and what of it differs.

The windows are short, so that a prompt is longer.
"""
INIT_STD = 0.02
WEIGHTS_FILE = "model.safetensors"


def main(
    folder: Path,
    family: Family = "qwen3",
    problems: Path = Path("data/problems.parquet"),
    vocabulary_size: int = 512,
    hidden_size: int = 64,
    num_layers: int = 2,
) -> None:
    """Write the folder, and say what params.yaml must say of it."""
    texts = read_table(problems, PROBLEMS, ["prompt"])["prompt"].to_pylist()
    shape = {
        "hidden_size": hidden_size,
        "intermediate_size": 2 * hidden_size,
        "num_attention_heads": max(2, hidden_size // SHAPE["head_dim"]),
        "num_hidden_layers": num_layers,
    }
    write_checkpoint(folder, family, texts, vocabulary_size, **shape)
    digest = checkpoint_digest(folder, [WEIGHTS_FILE])
    print(f"model: {{checkpoint: {folder}, sha256: {digest}}}")


def write_checkpoint(
    folder: Path,
    family: Family,
    texts: Iterable[str],
    vocabulary_size: int = 512,
    init_std: float = INIT_STD,
    seed: int = 0,
    **shape: Any,
) -> None:
    """Weights, configuration, tokenizer, chat template, stop tokens; the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(texts, vocabulary_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    ends = [tokenizer.token_to_id(end) for end in (END, OTHER_END)]
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "bos_token": None}
    write_json(folder / "tokenizer_config.json", settings)
    write_json(
        folder / "generation_config.json", {"eos_token_id": ends, "temperature": 0.6, "top_k": 1}
    )
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")

    model_type, family_settings = CONFIGS[family]
    config = AutoConfig.for_model(
        model_type,
        vocab_size=tokenizer.get_vocab_size(),
        bos_token_id=None,
        eos_token_id=ends[0],
        pad_token_id=tokenizer.token_to_id(PAD),
        dtype="float32",
        **{**SHAPE, **family_settings, **shape},
    )
    with torch.random.fork_rng():
        model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * init_std)
    tied = set(model.all_tied_weights_keys)
    weights = {
        name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in tied
    }
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    written = {**config.to_diff_dict(), "architectures": [type(model).__name__]}
    written.pop("transformers_version", None)
    (folder / "config.json").write_text(
        json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )


def _tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Byte-level BPE; control tokens are special, thinking markers are not, as Qwen3 has them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(MARKERS),
        special_tokens=[PAD, START, END, OTHER_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, "system\nuser\nassistant\n", "\n\n"], trainer)
    tokenizer.add_tokens([AddedToken(marker, normalized=False) for marker in MARKERS])
    return tokenizer


if __name__ == "__main__":
    command(main)
