"""What each token adds to a text, where a token alone does not say it.

A letter may take several tokens of bytes, and a token may have its space only behind others, as
those of sentencepiece have.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache

from stages.contracts.render import Renderer

INCOMPLETE = "\ufffd"
"""What bytes decode to that are no letter yet."""
MAX_LETTER_TOKENS = 4
"""A letter in UTF-8 has at most so many bytes, and a token at least one."""


def token_texts(renderer: Renderer, tokens: Sequence[int]) -> list[str]:
    """What each token adds to the text, special ones nothing: to find where a segment ends.

    A letter that takes several tokens is added by the last of them, and a space that a token has
    only behind others is its own.
    """
    alone = [_text_alone(renderer, token) for token in tokens]
    if renderer.is_of_words or "".join(alone) == renderer.decode(tokens):
        return alone
    return list(texts_in_context(tokens, renderer.decode, renderer.special_tokens))


@lru_cache(maxsize=2**18)  # the tokens of a vocabulary
def _text_alone(renderer: Renderer, token: int) -> str:
    return renderer.decode([token])


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


def span_texts(
    tokens: Sequence[int], ends: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> list[str]:
    """What each span of a text adds to what those before it read: joined, they are the whole.

    A letter that spans share is added by the last of them.

    Args:
        tokens: of one text.
        ends: where each span ends, in tokens, in order; the first begins at 0.
        decode: text of tokens.
    """
    texts: list[str] = []
    context, start, told = 0, 0, ""
    is_between_letters = True
    for place, end in enumerate(ends, 1):
        now = decode(tokens[context:end])
        whole = now if place == len(ends) else now.rstrip(INCOMPLETE)
        if not whole.startswith(told):  # bytes behind whole letters may spoil these, too
            whole = told + (decode(tokens[start:end]) if place == len(ends) else "")
        texts.append(whole[len(told) :])
        was_between, is_between_letters = is_between_letters, whole == now
        if was_between and is_between_letters and texts[-1]:
            context, whole = start, decode(tokens[start:end])  # some, for the spaces behind them
        start, told = end, whole
    return texts
