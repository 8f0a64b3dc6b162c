"""What a class of the user's may say of an answer: True, False or None, and nothing else.

Any text is true to Python, `"False"` too, and a score of .1 as well: what is neither yes nor no is
a fault of the class, and no answer earns anything by it.
"""

from stages.contracts.verdict import Verdict


def verdict_of(said: object) -> Verdict:
    """The verdict for True, False or None.

    Raises:
        TypeError: the class said something else. Inside a worker the verdict is then `error`.
    """
    if said is None:
        return Verdict.UNPARSABLE
    if not isinstance(said, bool):
        raise TypeError(
            f"verify must return True, False or None, not {type(said).__name__}; "
            "docs/tasks.md shows one"
        )
    return Verdict.CORRECT if said else Verdict.INCORRECT
