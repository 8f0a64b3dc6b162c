"""Every output of some steps held against dvc.lock, wherever its bytes lie."""

from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO

from lineage.proof.copies import WORKTREE, State, hash_copies
from lineage.proof.evidence import Evidence, OutputFile
from lineage.record.audit import Audit
from lineage.record.digests import Digests, digests_of, md5_of
from lineage.record.errors import counted
from lineage.record.lock import FOLDER, File, Step
from lineage.record.printable import without_secrets
from lineage.record.store import Member, Place, folder_list, folder_members
from lineage.record.tree import Tree

CACHE = "cache"
SHOWN = 12  # digits of a digest in a message


def gather(audit: Audit, steps: Sequence[Step]) -> Evidence:
    """Hash every output of the steps, in git, working tree, cache and remotes."""
    evidence = Evidence()
    in_git = {*audit.tree.paths()}
    places = [place for place in audit.store.places if _is_reachable(place, evidence)]
    for step in steps:
        for out in step.outs:
            if out.path in in_git:
                _take_from_git(audit.tree, step, out, evidence)
            elif out.is_folder:
                _take_folder(audit.tree, places, out, evidence)
            else:
                evidence.files[out.path] = OutputFile(out.path, out.md5)
    cached = [file for file in evidence.files.values() if not file.in_git]
    states = hash_copies(audit.tree, places, cached, evidence)
    for file in cached:
        _hold(file, states[file.path], evidence)
    _account_for_missing(cached, states, evidence)
    _compare_sizes(steps, evidence)
    return evidence


def _is_reachable(place: Place, evidence: Evidence) -> bool:
    try:
        if place.filesystem.exists(place.path):
            return True
        why = f"{place.path} is not there"
    except Exception as error:  # each file system has errors of its own
        why = str(error) or type(error).__name__
    evidence.notes.append(f"{place.name} was not checked: {without_secrets(why)}")
    return False


def _take_from_git(tree: Tree, step: Step, out: File, evidence: Evidence) -> None:
    """A file that git keeps and no cache has: metrics."""
    content = tree.read(out.path)
    digests = digests_of(BytesIO(content))
    evidence.num_files += 1
    evidence.num_bytes += digests.size
    evidence.files[out.path] = OutputFile(out.path, out.md5, in_git=True)
    if digests.md5 == out.md5:
        evidence.keep(out.md5, digests, partial(BytesIO, content))
    else:
        message = f"is not what {step.name} wrote: {_against(digests.md5, out.md5)}"
        evidence.find("metrics", out.path, message)


def _take_folder(tree: Tree, places: Sequence[Place], out: File, evidence: Evidence) -> None:
    """Its files by the first right list of them; a list is bytes to check like any other."""
    path = f"{out.path} (list)"
    evidence.files[path] = OutputFile(path, out.md5, is_list=True)
    members = next(filter(None, (_members(place, out) for place in places)), None)
    if members is None and tree.root is not None:
        members = _laid_members(tree, out, evidence)
    if members is None:
        return
    for member in members:
        path = f"{out.path}/{member.name}"
        evidence.files[path] = OutputFile(path, member.md5)
    if tree.root is not None:
        for file in sorted((tree.root / out.path).rglob("*")):
            name = file.relative_to(tree.root).as_posix()
            if name not in evidence.files and not file.is_dir():
                evidence.find(WORKTREE, name, "is no file that the step wrote; remove it")


def _members(place: Place, out: File) -> list[Member] | None:
    try:
        return place.members(out.md5)
    except OSError:
        return None


def _laid_members(tree: Tree, out: File, evidence: Evidence) -> list[Member] | None:
    """The files as they lie in the working tree, where the list of them is the right one."""
    members = folder_members(tree, out.path)
    if members is None:
        return None
    content = folder_list(members)
    if md5_of(content) != out.md5.removesuffix(FOLDER):
        return None
    evidence.keep(out.md5, digests_of(BytesIO(content)), partial(BytesIO, content))
    return members


def _hold(file: OutputFile, states: Mapping[str, State], evidence: Evidence) -> None:
    """Hold the copies that there are against the digest."""
    wanted = file.md5.removesuffix(FOLDER)
    right = set()
    for place, state in states.items():
        if isinstance(state, str):
            message = f"cannot be read in {place}: {state}"
            evidence.find(_check(place), file.path, message)
        elif state is not None and state.md5 != wanted:
            message = f"was changed in {place}: {_against(state.md5, wanted)}"
            evidence.find(_check(place), file.path, message)
        elif state is not None:
            right.add(state.sha256)
    if len(right) > 1:
        message = "two files with the md5 of dvc.lock differ: one was made to deceive"
        evidence.find("collision", file.path, message)
    if file.md5 not in evidence.openers:
        message = f"the bytes {wanted[:SHOWN]} of dvc.lock are nowhere; `dvc repro` makes them"
        evidence.find("bytes", file.path, message)


def _account_for_missing(
    files: Sequence[OutputFile], states: Mapping[str, Mapping[str, State]], evidence: Evidence
) -> None:
    """A copy that should be there is a finding; what was never fetched or pushed is a note."""
    places = list(dict.fromkeys(place for by_place in states.values() for place in by_place))
    held = set()
    for file in files:
        held |= {(file.path, place) for place in places if states[file.path].get(place) is not None}
    for place in places:
        due = [file.path for file in files if place in states[file.path]]
        missing = [path for path in due if (path, place) not in held]
        if len(missing) == len(due):
            evidence.notes.append(f"{place} holds nothing of this policy")
            continue
        unexplained = [path for path in missing if _is_unexplained(path, place, held)]
        for path in unexplained:
            evidence.find(_check(place), path, f"is gone from {place}")
        if num := len(missing) - len(unexplained):
            evidence.notes.append(f"{place} lacks {counted(num, 'file')}, the first {missing[0]}")


def _is_unexplained(path: str, place: str, held: set[tuple[str, str]]) -> bool:
    """Whether a copy must have been taken away.

    DVC checks out of the cache, and pushes a folder's list after its files; a pull of some outputs
    leaves both without the others, and a push may be behind.
    """
    if place == WORKTREE:
        return (path, CACHE) in held
    if place == CACHE:
        return (path, WORKTREE) in held
    ends = [end for end, letter in enumerate(path) if letter == "/"]
    return any((f"{path[:end]} (list)", place) in held for end in ends)


def _check(place: str) -> str:
    return "remote" if place.startswith("remote ") else place


def _compare_sizes(steps: Sequence[Step], evidence: Evidence) -> None:
    for step in steps:
        for out in step.outs:
            files = evidence.files_of(out)
            digests = [evidence.digests.get(file.md5) for file in files]
            sizes = [each.size for each in digests if isinstance(each, Digests)]
            if sizes and len(sizes) == len(files) and sum(sizes) != out.size:
                message = f"{step.name} wrote {sum(sizes)} bytes; dvc.lock says {out.size}"
                evidence.find("lock", out.path, message)


def _against(md5: str, wanted: str) -> str:
    return f"md5 {md5[:SHOWN]}, dvc.lock has {wanted[:SHOWN]}"
