"""Text to tokens, once, and tokens to text for verifiers and people; elsewhere tokens go in and tokens come out."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from stages.contracts.errors import BadInput
from stages.contracts.publish import atomic, write_json

TOKENIZER_FILE = "tokenizer.json"
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


class Renderer:
    """The tokenizer of a policy."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocabulary_size: int = tokenizer.get_vocab_size()
        self.pad_token = self._special(PAD)
        self.eos_token = self._special(EOS)

    @classmethod
    def of_policy(cls, policy: Path) -> "Renderer":
        """Load the tokenizer of a policy folder, or a tokenizer.json itself.

        Raises:
            BadInput: the file is missing or corrupt.
        """
        path = policy if policy.is_file() else policy / TOKENIZER_FILE
        if not path.is_file():
            raise BadInput(f"{path} is missing; `dvc repro` makes it")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise BadInput(f"{path} is corrupt ({error}); delete its folder and run `dvc repro`") from None

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; nothing is added at either end."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tokens

    def token(self, text: str) -> int:
        """The one token of a text.

        Raises:
            BadInput: it takes more or fewer.
        """
        tokens = self.encode(text)
        if len(tokens) != 1:
            raise BadInput(f"the tokenizer writes {text!r} as {len(tokens)} tokens; a cue must be one")
        return tokens[0]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def words(self, tokens: Sequence[int]) -> list[str]:
        """Each token as a word of its own, to show to people."""
        return [self._tokenizer.decode([token], skip_special_tokens=False) for token in tokens]

    def save(self, folder: Path) -> None:
        """Write the Hugging Face tokenizer files into a policy folder."""
        with atomic(folder / TOKENIZER_FILE) as beside:
            self._tokenizer.save(str(beside))
        write_json(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": PAD,
                "bos_token": BOS,
                "eos_token": EOS,
                "clean_up_tokenization_spaces": False,
            },
        )

    def _special(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise BadInput(f"the tokenizer has no {token} token; a task's tokenizer needs {PAD}, {BOS} and {EOS}")
        return int(index)
