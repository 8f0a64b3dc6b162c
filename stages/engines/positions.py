"""Whether a policy has positions for what it is asked to hold."""

from pathlib import Path

from stages.running.errors import BadInput
from stages.running.publish import read_json

CONFIG_FILE = "config.json"


def max_positions(policy: Path) -> int | None:
    """Positions of a policy folder's model, tokens; None where its configuration names no limit."""
    limit: int | None = read_json(policy / CONFIG_FILE).get("max_position_embeddings")
    return limit


def need_positions(who: str, limit: int | None, num_tokens: int) -> None:
    """Refuse a policy too short for what it will be asked; `who` is named first in the message.

    Raises:
        BadInput: its positions are fewer than `num_tokens`.
    """
    if limit is not None and limit < num_tokens:
        raise BadInput(
            f"{who}: a policy of {limit} positions cannot hold the {num_tokens} tokens of its "
            "longest prompt and completion; lower the budgets in params.yaml, or start from a "
            "longer model"
        )
