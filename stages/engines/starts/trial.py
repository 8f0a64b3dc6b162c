"""What a checkpoint's files make of texts, tried in a process of its own that may be killed.

A chat template, a normalizer and a pattern are small programs by whoever wrote the checkpoint: they
may take forever, all memory, or end their process. So they are run once on all that they will be
given, with little time and memory, and so is the making of the model, without its weights.

Example: python -m stages.engines.starts.trial FOLDER < texts.json
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.contracts.chat import PROBE, Prompting
from stages.running.errors import BadInput, MachineFailure

ROOT = Path(__file__).parents[3]
SECONDS, SECONDS_A_TEXT = 5, 0.005
"""Of computing, however busy the machine is."""
MEMORY_BYTES = 4 * 2**30
MAX_WALL_SECONDS = 600
NEXT, PANIC, NO_MEMORY = "next", 70, 71
STEPS = ("tokenizer and chat template", "config.json")
"""What is tried, in turn."""


def need_tractable(
    folder: Path, prompting: Prompting | None, texts: Sequence[str], questions: Sequence[str]
) -> None:
    """See that a checkpoint's tokenizer, template and configuration come to an end.

    What they come to is not looked at here: whoever uses them says what is wrong with it.

    Raises:
        BadInput: they do not, within a bound of time and memory, or end their process.
        MachineFailure: the machine was too busy to tell.
    """
    command = [sys.executable, "-m", "stages.engines.starts.trial", str(folder.resolve())]
    given = json.dumps([prompting, [*texts], [*questions]])
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(  # noqa: S603 (our own)
            command,
            cwd=ROOT,
            env=environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=MAX_WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MachineFailure(
            f"checkpoint {folder}: not tried within {MAX_WALL_SECONDS} s; run again when the "
            "machine is less busy"
        ) from None
    if done.returncode == 0:
        return
    step = STEPS[min(done.stdout.count(NEXT), len(STEPS) - 1)]
    because = (
        "fails beyond repair on a text of this task"
        if done.returncode == PANIC
        else f"takes more than {SECONDS} s or {MEMORY_BYTES >> 30} GiB for what is to be small"
    )
    raise BadInput(f"checkpoint {folder}: its {step} {because}; choose another checkpoint")


def _try_all(folder: Path, prompting: Prompting | None, texts: list[str], asked: list[str]) -> None:
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import AutoModelForCausalLM
    from transformers.utils import chat_template_utils

    del chat_template_utils  # what takes a second to load is not counted
    _limit(SECONDS + SECONDS_A_TEXT * (len(texts) + len(asked)))
    _try_text(folder, prompting, texts, asked)
    print(NEXT, flush=True)
    _limit(SECONDS)
    _try_model(folder, AutoConfig, AutoModelForCausalLM)


def _try_text(
    folder: Path, prompting: Prompting | None, texts: list[str], asked: list[str]
) -> None:
    from stages.engines.checkpoints import checkpoint_renderer

    try:
        renderer = checkpoint_renderer(folder, prompting)
        for question in (PROBE, *asked):
            renderer.text(renderer.prompt_tokens(question))
    except MemoryError:
        raise
    except Exception:
        return
    for text in texts:
        renderer.decode(renderer.encode(text))


def _try_model(folder: Path, configs: Any, models: Any) -> None:
    import torch

    try:
        config = configs.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            models.from_config(config, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception:
        return


def _limit(seconds: float) -> None:
    """Let this process compute for so long from now, with a bounded amount of new memory."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Try what standard input gives on the checkpoint that is named."""
    prompting, texts, asked = json.load(sys.stdin)
    try:
        _try_all(Path(sys.argv[1]), prompting and Prompting(*prompting), texts, asked)
    except MemoryError:
        os._exit(NO_MEMORY)
    except BaseException:
        os._exit(PANIC)
    os._exit(0)


if __name__ == "__main__":
    main()
