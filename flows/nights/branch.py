"""The branch of a night: all that it runs and commits belongs there, and nowhere else.

A person may check out another branch in the nights' worktree, too.
"""

from flows.nights.night import Night
from flows.nights.programs import Unfinished
from flows.project import git


def stay(tonight: Night) -> None:
    """Go on only where the night's branch is checked out.

    Raises:
        Unfinished: another one is; nothing of the night is committed there.
    """
    present = git.branch()
    if present != tonight.branch:
        raise Unfinished(
            f"{present or 'no branch'} is checked out, and not {tonight.branch}, in the worktree "
            f"where night {tonight} is at work"
        )


def commit(tonight: Night, message: str, *paths: str) -> str:
    """Commit all changes in the paths on the night's branch. Returns the commit that has them.

    Raises:
        Unfinished: another branch is checked out.
    """
    stay(tonight)
    return git.commit(message, *paths)
