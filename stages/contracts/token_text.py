"""What each token adds to a text, where a token alone does not say it.

A letter may take several tokens of bytes, and a token may have its space only behind others, as
those of sentencepiece have.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

INCOMPLETE = "\ufffd"
"""What bytes decode to that are no letter yet."""
MAX_LETTER_TOKENS = 4
"""A letter in UTF-8 has at most so many bytes, and a token at least one."""


def texts_in_context(
    tokens: Sequence[int], decode: Callable[[Sequence[int]], str], special: Collection[int]
) -> Iterator[str]:
    """The text that each token adds behind those before it; a letter is added by its last token.

    Args:
        tokens: of one text.
        decode: text of tokens, of `special` ones none.
        special: control tokens.
    """
    context: list[int] = []
    pending: list[int] = []
    for token in tokens:
        pending.append(token)
        before, now = decode(context), decode([*context, *pending])
        is_early = len(pending) < MAX_LETTER_TOKENS
        if now.endswith(INCOMPLETE) and is_early:
            yield ""
        elif now == before and is_early:
            yield ""
            if token in special:
                pending.pop()
        else:
            yield now[len(before) :] if now.startswith(before) else decode(pending)
            context, pending = pending, []


def exact_tokens(
    text: str, encode: Callable[[str], list[int]], decode: Callable[[Sequence[int]], str]
) -> list[int]:
    """Tokens that read as the text, where leaving one out of its own gives such.

    Some tokenizers put a space before what follows a control token; it is no part of the text.
    """
    tokens = encode(text)
    shorter = (tokens[:place] + tokens[place + 1 :] for place in range(len(tokens)))
    return next((each for each in (tokens, *shorter) if decode(each) == text), tokens)
