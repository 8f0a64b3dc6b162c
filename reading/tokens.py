"""Token ids as text, by the tokenizer of the policy that wrote them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import duckdb
from duckdb.func import FunctionNullHandling
from tokenizers import Tokenizer

FUNCTION = "token_text"


class Decoder:
    """The tokenizers of a folder of policies, each loaded when it is first needed."""

    def __init__(self, policies: Path) -> None:
        self._policies = policies
        self._tokenizer = cache(self._load)

    def text(self, policy_id: str, tokens: Sequence[int]) -> str | None:
        """The text of tokens, control tokens too; None where the policy is not here."""
        tokenizer = self._tokenizer(policy_id)
        if tokenizer is None:
            return None
        text: str = tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text

    def words(self, policy_id: str, tokens: Sequence[int]) -> list[str] | None:
        """What each token adds to their text; None where one adds nothing that reads alone."""
        whole = self.text(policy_id, tokens)
        if whole is None:
            return None
        words = [self.text(policy_id, tokens[:1]) or ""]
        for index in range(1, len(tokens)):
            before = self.text(policy_id, tokens[index - 1 : index]) or ""
            both = self.text(policy_id, tokens[index - 1 : index + 1]) or ""
            words.append(both[len(before) :])
        return words if "".join(words) == whole else None

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make `token_text(policy_id, tokens)` a function of SQL."""

        def token_text(policy_id: str | None, tokens: list[int] | None) -> str | None:
            return None if policy_id is None or tokens is None else self.text(policy_id, tokens)

        connection.create_function(
            FUNCTION,
            token_text,
            ["VARCHAR", "INTEGER[]"],
            "VARCHAR",
            null_handling=FunctionNullHandling.SPECIAL,
        )

    def _load(self, policy_id: str) -> Tokenizer | None:
        path = self._policies / policy_id / "tokenizer.json"
        is_inside = path.resolve().is_relative_to(self._policies.resolve())
        return Tokenizer.from_file(str(path)) if is_inside and path.is_file() else None
