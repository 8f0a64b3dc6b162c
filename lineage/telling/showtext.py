"""A policy's ancestors in words: as a tree for a terminal, and as a page."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from lineage.answers.show import EXACT, Ancestor, Ancestors, Init, Judge, Round
from lineage.record.errors import first_few
from lineage.record.values import Value
from lineage.telling import words
from lineage.telling.page import fill
from lineage.telling.picture import picture

COLUMNS = ("recipe", "seed", "commit", "code", "packages", "trained", "seconds", "success")
RIGHT = {"seed", "trained", "seconds"}
WIDEST_RECIPE = 12
MANY = 6
INDENT = 4  # columns a tree moves its branches in
KINDS = {
    "problems": "problems",
    "base": "base model",
    "demonstrations": "demonstrations",
    "judge": "judge",
}
"""What nodes are called that are no policies."""


def text(answer: Ancestors) -> RenderableType:
    """The policy, below it its ancestors, newest first, one a line."""
    rows = {ancestor.policy: row(ancestor) for ancestor in answer.generations}
    widths = {"policy": max(len("policy"), *map(len, rows))}
    for name in COLUMNS:
        widths[name] = max(len(name), *(len(cells[name]) for cells in rows.values()))
    heads = _aligned({name: name for name in ("policy", *COLUMNS)}, widths)
    title = f"{answer.policy} at commit {words.short(answer.revision)}"
    tree = Tree(_line(title, style="bold"))
    branches = _Branches(answer)
    for policy in [answer.policy, *reversed(rows)]:
        branches.grow(tree, policy, widths)
    for problems in answer.problems:
        version = f"{problems.path}, {words.short(problems.md5)}"
        tree.add(_line(f"problems {version}: {task(problems.task)}"))
    return Group(_line(f"{'':{INDENT}}{heads}", style="dim"), tree, *map(_line, notes(answer)))


class _Branches:
    """Draws ancestors as branches of a tree, each policy and each judge once."""

    def __init__(self, answer: Ancestors) -> None:
        self._ancestors = {ancestor.policy: ancestor for ancestor in answer.generations}
        self._judges = {judge.judge: judge for judge in answer.judges}
        self._drawn: set[str] = set()

    def grow(self, tree: Tree, policy: str | None, widths: Mapping[str, int]) -> None:
        """Add a policy and those before it; what else made a round stands below it."""
        for ancestor in self._line_of(policy):
            cells = {"policy": ancestor.policy, **row(ancestor)}
            node = tree.add(_line(_aligned(cells, widths)))
            for line in origins(ancestor):
                node.add(_line(line))
            if isinstance(ancestor.origin, Round):
                self._add_judge(node, ancestor.origin.judge, widths)
                self.grow(node, ancestor.origin.reference, widths)

    def _add_judge(self, node: Tree, name: str, widths: Mapping[str, int]) -> None:
        judge = self._judges.get(name)
        if judge is None:
            return
        if f"judge {name}" in self._drawn:
            node.add(_line(f"judge {name}, see above"))
            return
        self._drawn.add(f"judge {name}")
        below = node.add(_line(judged(judge)))
        # columns below a judge stand below the others
        inner = {**widths, "policy": widths["policy"] - 2 * INDENT}
        for source in (judge.round, judge.sampled_by, judge.base):
            self.grow(below, source, inner)

    def _line_of(self, policy: str | None) -> list[Ancestor]:
        """A policy and those before it, newest first, up to one that is drawn."""
        line = []
        while policy is not None and policy in self._ancestors and policy not in self._drawn:
            line.append(self._ancestors[policy])
            self._drawn.add(policy)
            policy = self._ancestors[policy].origin.parent
        return line


def _line(content: str, style: str = "") -> Text:
    """A line that wraps where the terminal is narrow, where others are cut."""
    return Text(content, style, no_wrap=False, overflow="fold")


def row(ancestor: Ancestor) -> dict[str, str]:
    """One policy's cells."""
    origin = ancestor.origin
    recipe = (origin.recipe if isinstance(origin, Round) else None) or origin.kind
    if len(recipe) > WIDEST_RECIPE:
        recipe = recipe[: WIDEST_RECIPE - 1] + "\N{HORIZONTAL ELLIPSIS}"
    seed = origin.seed if isinstance(origin.seed, int | float) else None
    return {
        "recipe": recipe,
        "seed": words.count(seed).replace(",", ""),
        "commit": _commit(ancestor.commit),
        "code": words.short(ancestor.code),
        "packages": words.short(ancestor.environment),
        "trained": words.count((ancestor.tokens or {}).get("trained")),
        "seconds": seconds(ancestor),
        "success": words.interval(ancestor.exam.success if ancestor.exam else None),
    }


def _commit(commit: str | None) -> str:
    return words.short(commit)


def _aligned(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    padded = []
    for name, cell in cells.items():
        padded.append(f"{cell:{'>' if name in RIGHT else '<'}{max(widths[name], 0)}}")
    return " ".join(padded).rstrip()


def seconds(ancestor: Ancestor) -> str:
    """Seconds of its steps; of some of them, where not all are known."""
    if ancestor.known_seconds is None:
        return words.UNKNOWN
    is_part = None in ancestor.seconds.values()
    return (">" if is_part else "") + words.count(ancestor.known_seconds)


def origins(ancestor: Ancestor) -> Iterator[str]:
    """What a policy came from that is no policy."""
    origin = ancestor.origin
    if isinstance(origin, Round):
        if origin.parent is None:
            yield "parent unknown: no step of dvc.lock made it"
        return
    yield f"base model: {base(origin)}"
    if demos := origin.demonstrations:
        yield f"demonstrations {demos.path}, {words.short(demos.md5)}"


def base(init: Init) -> str:
    """What an init's weights were before it was trained."""
    model = init.base
    if "checkpoint" in model:
        return f"{model['checkpoint']}, sha256 {words.short(str(model['sha256']))}"
    return f"random weights, seed {init.seed}, shape {words.value(model['shape'])}"


def judged(judge: Judge) -> str:
    """A judge on one line."""
    return (
        f"judge {judge.judge} {words.short(judge.md5)}: {judge.base} taught on the answers of "
        f"round {judge.round}, seed {judge.seed}, commit {_commit(judge.commit)}"
    )


def task(params: Value) -> str:
    """A task and its seed."""
    if not isinstance(params, Mapping) or not params:
        return f"task {words.UNKNOWN}"
    return f"task {params.get('name')}, seed {params.get('seed')}"


def notes(answer: Ancestors) -> Iterator[str]:
    """What the columns are, and why some of it is not known here."""
    ancestors = answer.generations
    yield (
        "commit: the first whose dvc.lock has the policy. code, packages: digests of the files its "
        "steps ran and of requirements/. trained: tokens."
    )
    if exams := [ancestor.exam for ancestor in ancestors if ancestor.exam]:
        at = exams[-1].budget_tokens
        yield (
            f"success: of all exam problems at {at} thinking tokens; {words.NOTHING} where it has "
            "no exam."
        )
    yield _note_on_seconds(ancestors)
    if uncounted := [each.policy for each in ancestors if "trained" not in (each.tokens or {})]:
        yield f"trained: unknown for {first_few(uncounted, MANY)}, for the same reason."
    if uncommitted := [each.policy for each in ancestors if each.commit is None]:
        names = first_few(uncommitted, MANY)
        if answer.is_cut:
            yield (
                f"commit: unknown for {names}: this clone has no older commits; `git fetch "
                "--unshallow` brings them."
            )
        else:
            yield f"commit: none yet has {names}; commit dvc.lock to pin code and packages."


def _note_on_seconds(ancestors: Sequence[Ancestor]) -> str:
    spent = sum(ancestor.known_seconds or 0 for ancestor in ancestors)
    partly = [ancestor.policy for ancestor in ancestors if None in ancestor.seconds.values()]
    if not partly:
        return f"seconds: {words.count(spent)} in all."
    known = words.count(spent) if spent else "none"
    return (
        f"seconds: {known} are known here. Unknown in whole or part for {first_few(partly, MANY)}: "
        "they stand beside the outputs, on the machine that ran the steps."
    )


def page(answer: Ancestors) -> str:
    """One HTML file: the graph, what made each policy, and each policy's params and steps."""
    return fill(
        "show.html.j2",
        answer=answer,
        picture=picture(answer),
        row=row,
        base=base,
        judged=judged,
        task=task,
        notes=[*notes(answer)],
        kinds=KINDS,
        exact=EXACT,
    )
