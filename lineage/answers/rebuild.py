"""Make a policy anew in a clean clone, to see how close it comes.

The clone has the code and params of the commit, an empty cache and no result, so that nothing of
the first build is taken over. Packages, device and threads are those of today.
"""

import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lineage.answers.comparison import Comparison, compare, steps_of
from lineage.record.audit import Audit, open_audit
from lineage.record.errors import AuditError
from lineage.record.lock import LOCK, Step
from lineage.record.tree import git

INPUTS = ("params.yaml", "dvc.yaml")
GRACE_SECONDS = "10"
NUM_LAST_LINES = 5


def rebuild(audit: Audit, policy: str, folder: Path | None) -> Comparison:
    """Run the steps the policy came from, and those of its exam, and compare what they wrote.

    Raises:
        AuditError: code or params are not those of the commit, the folder is in use, or a step
            failed.
    """
    targets = steps_of(audit, policy)
    refuse_changes(audit, audit.graph.ancestors(*targets))
    with _place(folder) as root:
        clone(audit, root)
        run([step.name for step in targets], root)
        return compare(audit, open_audit(root, None), policy)


def refuse_changes(audit: Audit, steps: Sequence[Step]) -> None:
    """See that a working tree has the code and params of its commit, as a clone would have them.

    Raises:
        AuditError: a file differs.
    """
    root = audit.tree.root
    if root is None:
        return
    wanted = sorted({*INPUTS, *(path for step in steps for path in step.code)})
    status = ("status", "--porcelain", "--untracked-files=all", "--", *wanted)
    changed = git(root, *status).splitlines()
    if changed:
        raise AuditError(
            f"{len(changed)} files of code or params differ from commit {audit.tree.commit[:12]}, "
            f"first {changed[0][3:]}; commit them, or ask for POLICY@REVISION"
        )


def clone(audit: Audit, root: Path) -> None:
    """Clone the commit, with a cache of its own and without any result."""
    repository = audit.tree.repository
    source = str(repository.resolve())
    git(repository, "clone", "--quiet", "--no-checkout", source, str(root))
    git(root, "checkout", "--quiet", "--detach", audit.tree.commit)
    (root / ".dvc/config.local").write_text("[cache]\n    dir = cache\n")
    kept_by_git = git(root, "ls-files", "-z").split("\0")
    results = tuple(f"{out.path}/" for step in audit.graph.steps.values() for out in step.outs)
    for path in (LOCK, *kept_by_git):
        if path == LOCK or f"{path}/".startswith(results):
            (root / path).unlink(missing_ok=True)


def run(targets: Sequence[str], root: Path) -> None:
    """Run steps in the clone, what they print going to stderr; nothing of it outlives us.

    Raises:
        AuditError: a step failed.
    """
    stages = [sys.executable, "-m", "flows.warm", "dvc", "repro", *targets]
    # the guard ends all below it when its stdin closes
    guarded = [sys.executable, "-m", "flows.run", GRACE_SECONDS, *stages]
    last: deque[str] = deque(maxlen=NUM_LAST_LINES)
    running = subprocess.Popen(
        guarded,
        cwd=root,
        env=_environment(root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        for line in running.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            last.append(line.strip())
    finally:
        running.stdin.close()
        running.wait()
        running.stdout.close()
    if running.returncode:
        raise AuditError(
            f"rebuilding {', '.join(targets)} ended with {running.returncode}: {' / '.join(last)}"
        )


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """The folder asked for, kept; else one that goes."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="knowhow-rebuild-") as scratch:
            yield Path(scratch) / "clone"
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AuditError(f"{folder} is in use; name a folder that is empty or not there yet")
    else:
        yield folder.resolve()


def _environment(root: Path) -> dict[str, str]:
    """That of this process; but DVC knows no settings and no state from outside the clone."""
    nowhere = str(root / ".dvc/tmp/outside")
    kinds = ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outside = dict.fromkeys(kinds, nowhere)
    return {**os.environ, **outside, "PATH": path, "DVC_NO_ANALYTICS": "1"}
