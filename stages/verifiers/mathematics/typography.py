"""The signs of plain text, markdown and print, brought to those of LaTeX.

Letters, digits and signs that only look different are made one: minus signs and dashes, spaces that
do not break, full-width and mathematical forms, superscripts, fractions of one character, quotes.
Emphasis (`**73**`), code (`` `73` ``) and quotes around a whole answer are wrappings and are taken
off. Digits of other scripts and signs that nobody sees stay as they are, and are not read.
`~` is a blank of LaTeX behind something only: before a number it says that it is not exact.
"""

import re
import unicodedata

SIGNS = {
    **dict.fromkeys("−‐‑‒–—―﹣－", "-"),
    **dict.fromkeys(
        "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000", " "
    ),
    **dict.fromkeys("‘’‛′", "'"),
    **dict.fromkeys("“”„‟", '"'),
    "×": r"\times ",
    "✕": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "∙": r"\cdot ",
    "÷": "/",
    "⁄": "/",
    "∕": "/",
    "π": r"\pi ",
    "∞": r"\infty ",
    "≤": r"\leq ",
    "≥": r"\geq ",
    "≠": r"\neq ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}",
    "±": r"\pm ",
    "≈": r"\approx ",
    "…": r"\ldots ",
    "°": r"^\circ ",
    "º": r"^\circ ",
    "θ": r"\theta ",
    "α": r"\alpha ",
    "β": r"\beta ",
}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
SUPERSCRIPT = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
ROOT = re.compile(r"√\s*(\d+)")
WRAPPINGS = re.compile(
    r"""(?s)(\*\*\*|\*\*|\*|___|__|_|```|``|`|"|')(?P<inner>(?:(?!\1).)+)\1(?P<end>[.]?)"""
)
SPACING = re.compile(
    r"\\[,;:> ]|\\(?:thinspace|medspace|enspace)(?![A-Za-z])"
    r"|(?<=[\w})\]%])~(?!~)|^~(?=[^~]+~$)"
)
LINES = re.compile(r"(?<=\d)\s*\n\s*(?=\d)")
GAP = re.compile(
    r"\\q?quad(?![A-Za-z])\s*(?=(?:or|and)\b|\\text|$)|(?<=[a-z}])\s*\\q?quad(?![A-Za-z])"
)
STYLES = re.compile(
    r"\\(?:displaystyle|textstyle|left|right|bigl?|bigr|Bigl?|Bigr|limits|mathstrut)(?![A-Za-z])"
    r"|\\!"
)


def plain(text: str) -> str:
    """The text in signs of ASCII and LaTeX, as far as there are such for them."""
    text = SUPERSCRIPT.sub(lambda m: f"^{{{m.group().translate(SUPERSCRIPTS)}}}", text)
    text = SUBSCRIPT.sub(lambda m: f"_{{{m.group().translate(SUBSCRIPTS)}}}", text)
    text = ROOT.sub(r"\\sqrt{\1}", text).replace("√", r"\sqrt ")
    text = LINES.sub(r" \\newline ", text)  # one number a line is not one number
    return unwrapped("".join(map(_sign, text)))


def unwrapped(text: str) -> str:
    """The text without what wraps the whole of it, layer by layer."""
    text = text.strip()
    while wrapped := WRAPPINGS.fullmatch(text):
        text = (wrapped["inner"] + wrapped["end"]).strip()
    return text


def unspaced(text: str) -> str:
    """LaTeX without its spacing and its styles: single blanks are all that is left of them."""
    return " ".join(GAP.sub(" ", STYLES.sub("", SPACING.sub(" ", text))).split())


def _sign(sign: str) -> str:
    if sign in SIGNS:
        return SIGNS[sign]
    if unicodedata.decomposition(sign).startswith("<fraction>"):
        above, below = unicodedata.normalize("NFKC", sign).split("⁄")
        return rf" \frac{{{above}}}{{{below}}}"
    if "\uff01" <= sign <= "\uff5e" or "\U0001d400" <= sign <= "\U0001d7ff":
        return unicodedata.normalize("NFKC", sign)
    return sign
