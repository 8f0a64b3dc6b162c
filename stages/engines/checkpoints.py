"""Existing weights to start from: found or fetched, and opened without running their code.

They are seen to be the ones meant.
"""

import os
import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedModel

from stages.contracts.chat import Prompting
from stages.contracts.companions import (
    CONFIG_FILE,
    GENERATION_FILE,
    SETTINGS_FILE,
    TEMPLATE_FILE,
    TOKENIZER_FILE,
    json_text,
    need_tokens,
    read_companions,
)
from stages.contracts.params.inits.model import Checkpoint, HubCheckpoint
from stages.contracts.render import Renderer
from stages.engines.architecture import need_known
from stages.engines.policy import open_model
from stages.engines.starts.bounds import need_bounded
from stages.engines.starts.files import checkpoint_digest, read_object, weight_files
from stages.running.errors import EXIT_BAD_INPUT, BadInput, MachineFailure, lack_of

FETCHED = ("*.safetensors", "*.json", "*.jinja")
"""Of a hub repository; neither code nor pickles among them."""
FETCH = """
import sys
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
try:
    print(snapshot_download(sys.argv[1], revision=sys.argv[2], allow_patterns=sys.argv[3:]))
except (RepositoryNotFoundError, RevisionNotFoundError):
    sys.exit(2)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def find_checkpoint(start: Checkpoint | HubCheckpoint) -> Path:
    """The folder of a checkpoint, fetched first where it is the hub's.

    It is seen to be whole, and the one meant.

    Raises:
        BadInput: a file is missing, one is another or pickled, it is out of all bounds, or it
            wants code of its own run.
        MachineFailure: the hub did not answer.
    """
    folder = Path(start.checkpoint) if isinstance(start, Checkpoint) else _fetch(start)
    weights = weight_files(folder)
    missing = [
        name for name in (*weights, CONFIG_FILE, TOKENIZER_FILE) if not (folder / name).is_file()
    ]
    if missing:
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        because = (
            f"; {pickles[0]} is a pickle, which is never opened: convert it to safetensors"
            if pickles
            else ""
        )
        raise BadInput(
            f"checkpoint {folder}: {', '.join(missing)} missing; it must be a policy's "
            f"folder{because}"
        )
    for name in (CONFIG_FILE, SETTINGS_FILE):
        if (folder / name).is_file() and "auto_map" in read_object(folder, name):
            raise BadInput(
                f"checkpoint {folder}: {name} has auto_map, which asks for the checkpoint's own "
                "code to be run, and that is never done; choose one whose architecture "
                "transformers knows"
            )
    need_bounded(folder, weights)
    digest = checkpoint_digest(folder, weights)
    if digest != start.sha256:
        raise BadInput(
            f"checkpoint {folder}: the sha256 of its files is {digest}, not {start.sha256}; these "
            "are other weights, or another tokenizer, template or configuration: fetch the right "
            "ones, or mend model.sha256 in params.yaml"
        )
    return folder


def checkpoint_renderer(folder: Path, prompting: Prompting | None) -> Renderer:
    """The tokenizer of a checkpoint, with its chat template and stop tokens.

    Questions are put as `prompting` says.

    Raises:
        BadInput: the tokenizer is corrupt, or does not know where a text ends.
    """
    try:
        files = read_companions(folder)
        files.setdefault(SETTINGS_FILE, "{}")
        if files.get(TEMPLATE_FILE, "").startswith("\ufeff"):
            raise BadInput(f"{TEMPLATE_FILE} begins with a byte order mark; save it without")
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        if getattr(tokenizer.model, "dropout", None):
            tokenizer.model.dropout = None  # of its training: each call would cut another text
        ends = read_object(folder, CONFIG_FILE).get("eos_token_id")
        need_tokens(tokenizer, ends, CONFIG_FILE)
        if GENERATION_FILE not in files and ends is not None:
            files[GENERATION_FILE] = json_text({"eos_token_id": ends})
        renderer = Renderer(tokenizer, files).asking(prompting)
    except BadInput as error:
        raise BadInput(f"checkpoint {folder}: {error}") from None
    except Exception as error:  # the tokenizers library raises bare Exception
        if lack_of(error):
            raise
        raise BadInput(
            f"checkpoint {folder}: {TOKENIZER_FILE} is corrupt ({error}); fetch it anew"
        ) from None
    shown = [
        renderer.words([token])[0] for token in renderer.stop_tokens if renderer.decode([token])
    ]
    if shown:
        raise BadInput(
            f"checkpoint {folder}: {TOKENIZER_FILE} does not mark {shown[0]!r}, an end of text, as "
            "special, so that answers would show it; mark it there"
        )
    return renderer


def load_checkpoint(folder: Path, renderer: Renderer) -> PreTrainedModel:
    """The weights of an existing policy, in float32.

    Raises:
        BadInput: its files are corrupt, its architecture is none known here, or its tokenizer has
            more tokens than its weights.
    """
    model = open_model(folder, f"checkpoint {folder} cannot be opened", "fetch it anew")
    need_known(model, f"checkpoint {folder}")
    num_embeddings = model.get_input_embeddings().weight.shape[0]
    if num_embeddings < renderer.vocabulary_size:
        raise BadInput(
            f"checkpoint {folder}: weights for {num_embeddings} tokens, but its tokenizer has "
            f"{renderer.vocabulary_size}; the two are not of one policy"
        )
    return model


def _fetch(start: HubCheckpoint) -> Path:
    """A commit of a hub repository, in the hub's own cache.

    What is there already is not fetched again.

    In a process of its own: this one was told at its start that there is no network, and keeps to
    it.
    """
    where = f"checkpoint {start.hub} at {start.revision}"
    online = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", FETCH, start.hub, start.revision, *FETCHED]
    done = subprocess.run(command, env=online, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 (our own)
    if done.returncode == EXIT_BAD_INPUT:
        raise BadInput(
            f"{where}: the hub has no such repository or commit for you; mend inits.<name>.model"
        )
    if done.returncode:
        raise MachineFailure(
            f"{where}: the hub did not give it (see above); run again when it is in reach"
        )
    return Path(done.stdout.strip())
