"""What stands beside a policy's tokenizer.json and says how its text is written."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from stages.running.errors import BadInput

TOKENIZER_FILE, SETTINGS_FILE = "tokenizer.json", "tokenizer_config.json"
TEMPLATE_FILE, GENERATION_FILE, PROMPT_FILE = (
    "chat_template.jinja",
    "generation_config.json",
    "prompt.json",
)
CONFIG_FILE = "config.json"
COMPANIONS = (SETTINGS_FILE, TEMPLATE_FILE, GENERATION_FILE, PROMPT_FILE)
"""What beside tokenizer.json says how a policy's text is written; a new policy takes them over from
its parent.
"""
PLAIN_TEMPLATE = "{{ bos_token }}{{ messages[-1]['content'] + '\\n' }}"
"""Of a policy that came without a chat template."""
MAX_TOKENS = 2**31


def json_text(value: Any) -> str:
    """Sorted, indented JSON."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def need_tokens(tokenizer: Tokenizer, said: Any, file: str) -> list[int]:
    """The ends of text that a file names: a token, a list of them, or none.

    Raises:
        BadInput: one is no token of the tokenizer's.
    """
    tokens = [] if said is None else said if isinstance(said, list) else [said]
    for token in tokens:
        is_number = isinstance(token, int) and not isinstance(token, bool)
        if not is_number or not 0 <= token < MAX_TOKENS or tokenizer.id_to_token(token) is None:
            raise BadInput(
                f"{file} names {token!r:.80} among its eos_token_id, which is no token of "
                f"{TOKENIZER_FILE}; leave it out there"
            )
    return list(tokens)


def read_companions(folder: Path) -> dict[str, str]:
    """The texts of what stands beside a tokenizer.json.

    Raises:
        BadInput: one is not in UTF-8.
    """
    texts = {}
    for name in COMPANIONS:
        if (folder / name).is_file():
            try:
                texts[name] = (folder / name).read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise BadInput(
                    f"{folder / name} is not in UTF-8 ({error}); fetch it anew"
                ) from None
    return texts


def num_embeddings(policy: Path) -> int:
    """How many tokens a policy itself can write by its configuration; 0 where that says nothing."""
    path = policy / CONFIG_FILE
    if not path.is_file():
        return 0
    size = json_object(path.read_text(encoding="utf-8"), str(path)).get("vocab_size", 0)
    return size if isinstance(size, int) else 0


def chosen_template(file: str | None, inside: Any, settings_name: str) -> str:
    """The template of a policy: its file, or what its settings have, or the plain one.

    Raises:
        BadInput: the settings have several, and none of them is the default.
    """
    if file:
        return file
    if not inside:
        return PLAIN_TEMPLATE
    if isinstance(inside, list) and all(isinstance(each, dict) for each in inside):
        inside = {each.get("name"): each.get("template") for each in inside}
    if isinstance(inside, dict):
        names = ", ".join(map(str, inside))
        inside = inside.get("default")
        if inside is None:
            raise BadInput(
                f"{settings_name} has chat templates {names}, and none named default; write the "
                "one that is meant into chat_template.jinja"
            )
    if not isinstance(inside, str):
        raise BadInput(f"{settings_name} has a chat_template that is no text: {inside!r:.80}")
    return inside


def json_object(text: str, name: str) -> dict[str, Any]:
    """The object that a file beside a tokenizer holds.

    Raises:
        BadInput: it holds something else.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        mark = "; it begins with a byte order mark" if text.startswith("\ufeff") else ""
        raise BadInput(f"{name} is no JSON ({error}){mark}; fetch it anew") from None
    if not isinstance(value, dict):
        raise BadInput(f"{name} holds no JSON object but {text[:40]!r}; fetch it anew")
    return value
