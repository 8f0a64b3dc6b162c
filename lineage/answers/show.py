"""How a policy came to be: every policy, judge and table before it, and what each step between took and gave."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from lineage.answers.changes import leaves
from lineage.data.exam import exam_of, success
from lineage.record.ancestry import JUDGE, Generation, ancestry, first_commits
from lineage.record.audit import Audit
from lineage.record.graph import Graph
from lineage.record.lock import File, Step
from lineage.telling import words
from lineage.telling.page import fill
from lineage.telling.picture import picture

EXACT = "exact"
COLUMNS = ("recipe", "seed", "commit", "code", "packages", "trained", "seconds", "success")
RIGHT = {"seed", "trained", "seconds"}
WIDEST_RECIPE = 12
MANY = 6
INDENT = 4  # columns a tree moves its branches in
NAMES = {"problems": "problems", "base": "base model", "demonstrations": "demonstrations", "judge": "judge"}


def show(audit: Audit, policy: str) -> dict[str, Any]:
    """Ancestors of a policy, oldest first, up to problems and base model.

    Raises:
        AuditError: there is no such policy.
    """
    graph = audit.graph
    generations = ancestry(audit.tree, policy, graph)
    before = graph.ancestors(graph.policy(policy))
    trained = [(step, file) for step in before if step.group == JUDGE and (file := step.written(JUDGE))]
    commits = first_commits(audit.tree, [file.md5 for _, file in trained])
    return {
        "policy": policy,
        "revision": audit.tree.commit,
        "problems": [_problems(step, file) for step in before if (file := step.written("problems"))],
        "judges": [_judge(graph, step, file, commits.get(file.md5)) for step, file in trained],
        "generations": [_generation(graph, generation, before) for generation in generations],
    }


def _problems(step: Step, file: File) -> dict[str, Any]:
    return {"step": step.name, "path": file.path, "md5": file.md5, "size": file.size, "task": step.params.get("task")}


def _judge(graph: Graph, step: Step, file: File, commit: str | None) -> dict[str, Any]:
    sources = {flag: graph.maker(path) for flag, path in step.flags.items()}
    base, taught = sources.get("base"), sources.get("rollouts")
    sampler = graph.maker(taught.flags.get("policy", "")) if taught else None
    return {
        "judge": step.key,
        "base": base.key if base else None,
        "round": taught.key if taught else None,
        "sampled_by": sampler.key if sampler else None,
        "seed": step.params.get(f"judges.{step.key}", {}).get("seed"),
        "md5": file.md5,
        "commit": commit,
    }


def _generation(graph: Graph, generation: Generation, before: Sequence[Step]) -> dict[str, Any]:
    own = [step for step in before if step in generation.own.values()]
    seconds = {step.name: generation.seconds.get(step.group) for step in own}
    known = [value for value in seconds.values() if value is not None]
    made = _round(graph, generation) if "update" in generation.steps else _init(generation)
    return {
        "policy": generation.policy,
        **made,
        "md5": generation.md5,
        "commit": generation.commit,
        "code": generation.code,
        "environment": generation.environment,
        "packages": next((facts["packages"] for facts in generation.facts.values() if "packages" in facts), None),
        "params": dict(leaf for key, content in generation.recipe.items() for leaf in leaves(key, content)),
        "tokens": dict(generation.tokens) or _imitated(generation),
        "seconds": seconds,
        "known_seconds": round(sum(known), 1) if known else None,
        "exam": exam_of(generation),
    }


def _imitated(generation: Generation) -> dict[str, int] | None:
    """Tokens of a first policy's demonstrations; known where its run facts are."""
    counts = generation.facts.get("sft", {}).get("counts", {})
    return {"trained": counts["num_tokens"]} if "num_tokens" in counts else None


def _init(generation: Generation) -> dict[str, Any]:
    """What a first policy was made of: existing weights or random ones, and demonstrations."""
    recipe, name = generation.recipe, generation.policy
    model = recipe.get(f"inits.{name}.model", {})
    shown = generation.steps.get("demonstrate")
    demos = shown.written("demos") if shown else None
    return {
        "kind": "init",
        "parent": None,
        "seed": recipe.get(f"inits.{name}.seed"),
        "base": model if "checkpoint" in model else {"shape": model},
        "demonstrations": {"path": demos.path, "md5": demos.md5} if demos else None,
    }


def _round(graph: Graph, generation: Generation) -> dict[str, Any]:
    """What a round began from, and who rewarded it."""
    settings = generation.recipe.get(f"rounds.{generation.policy}", {})
    flags = {flag: path for step in generation.own.values() for flag, path in step.flags.items()}
    reference, judge = (graph.maker(flags[flag]) if flag in flags else None for flag in ("reference", "judge"))
    return {
        "kind": "round",
        "parent": generation.parent,
        "reference": reference.key if reference else None,
        "judge": judge.key if judge and judge.group == JUDGE else EXACT,
        "recipe": settings.get("recipe"),
        "seed": settings.get("seed"),
    }


def text(found: Mapping[str, Any]) -> RenderableType:
    """The answer as a tree: the policy, below it its ancestors, newest first, one a line."""
    rows = {entry["policy"]: row(entry) for entry in found["generations"]}
    widths = {name: max(len(name), *(len(cells[name]) for cells in rows.values())) for name in COLUMNS}
    widths["policy"] = max(len("policy"), *map(len, rows))
    heads = _aligned({name: name for name in ("policy", *COLUMNS)}, widths)
    tree = Tree(_line(f"{found['policy']} at commit {words.short(found['revision'])}", style="bold"))
    seen: set[str] = set()
    for policy in [found["policy"], *reversed(rows)]:
        _grow(tree, found, policy, widths, seen)
    for problems in found["problems"]:
        tree.add(_line(f"problems {problems['path']}, {words.short(problems['md5'])}: {task(problems['task'])}"))
    return Group(_line(f"{'':{INDENT}}{heads}", style="dim"), tree, *map(_line, notes(found)))


def _grow(tree: Tree, found: Mapping[str, Any], policy: str | None, widths: dict[str, int], seen: set[str]) -> None:
    """Add a policy and those before it, each once; what else made a round stands below it."""
    judges = {entry["judge"]: entry for entry in found["judges"]}
    inner = {**widths, "policy": widths["policy"] - 2 * INDENT}  # so that columns below a judge stand below the others
    for entry in _unseen(found, policy, seen):
        node = tree.add(_line(_aligned({"policy": entry["policy"], **row(entry)}, widths)))
        for told in origins(entry):
            node.add(_line(told))
        judge = judges.get(entry.get("judge", EXACT))
        if judge and (name := f"judge {judge['judge']}") in seen:
            node.add(_line(f"{name}, see above"))
        elif judge:
            seen.add(name)
            below = node.add(_line(judged(judge)))
            for source in (judge["round"], judge["sampled_by"], judge["base"]):
                _grow(below, found, source, inner, seen)
        _grow(node, found, entry.get("reference"), widths, seen)


def _line(content: str, style: str = "") -> Text:
    """A line that wraps where the terminal is narrow, where others are cut."""
    return Text(content, style, no_wrap=False, overflow="fold")


def _unseen(found: Mapping[str, Any], policy: str | None, seen: set[str]) -> list[Mapping[str, Any]]:
    """A policy and those before it, newest first, up to one that was seen; they are seen from now on."""
    entries, chain = {entry["policy"]: entry for entry in found["generations"]}, []
    while policy is not None and policy in entries and policy not in seen:
        chain.append(entries[policy])
        seen.add(policy)
        policy = entries[policy]["parent"]
    return chain


def row(entry: Mapping[str, Any]) -> dict[str, str]:
    """One policy's cells."""
    recipe, tokens = entry.get("recipe") or entry["kind"], entry["tokens"] or {}
    return {
        "recipe": recipe if len(recipe) <= WIDEST_RECIPE else recipe[: WIDEST_RECIPE - 1] + "\N{HORIZONTAL ELLIPSIS}",
        "seed": words.count(entry["seed"]).replace(",", ""),
        "commit": words.short(entry["commit"]) if entry["commit"] else "none yet",
        "code": words.short(entry["code"]),
        "packages": words.short(entry["environment"]),
        "trained": words.count(tokens.get("trained")),
        "seconds": seconds(entry),
        "success": words.interval(success(entry["exam"])),
    }


def _aligned(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    padded = (f"{text:{'>' if name in RIGHT else '<'}{max(widths[name], 0)}}" for name, text in cells.items())
    return " ".join(padded).rstrip()


def seconds(entry: Mapping[str, Any]) -> str:
    """Seconds of its steps; of some of them, where not all are known."""
    if entry["known_seconds"] is None:
        return words.UNKNOWN
    return (">" if None in entry["seconds"].values() else "") + words.count(entry["known_seconds"])


def origins(entry: Mapping[str, Any]) -> Iterator[str]:
    """What a policy came from that is no policy."""
    if entry["kind"] == "round":
        if entry["parent"] is None:
            yield "parent unknown: no step of dvc.lock made it"
        return
    yield f"base model: {base(entry)}"
    if demos := entry["demonstrations"]:
        yield f"demonstrations {demos['path']}, {words.short(demos['md5'])}"


def base(entry: Mapping[str, Any]) -> str:
    """What an init's weights were before it was trained."""
    model = entry["base"]
    if "checkpoint" in model:
        return f"{model['checkpoint']}, sha256 {words.short(model['sha256'])}"
    return f"random weights, seed {entry['seed']}, shape {words.value(model['shape'])}"


def judged(judge: Mapping[str, Any]) -> str:
    """A judge on one line."""
    commit = words.short(judge["commit"]) if judge["commit"] else "none yet"
    return (
        f"judge {judge['judge']} {words.short(judge['md5'])}: {judge['base']} taught on the answers of round "
        f"{judge['round']}, seed {judge['seed']}, commit {commit}"
    )


def task(params: Mapping[str, Any] | None) -> str:
    """A task and its seed."""
    return f"task {params.get('name')}, seed {params.get('seed')}" if params else f"task {words.UNKNOWN}"


def notes(found: Mapping[str, Any]) -> Iterator[str]:
    """What the columns are, and why some of it is not known here."""
    entries = found["generations"]
    yield (
        "commit: the first whose dvc.lock has the policy. code, packages: digests of the files its steps ran and of "
        "requirements/. trained: tokens."
    )
    if exams := [entry["exam"] for entry in entries if entry["exam"]]:
        at = exams[-1]["budget_tokens"]
        yield f"success: of all exam problems at {at} thinking tokens; {words.NOTHING} where it sat no exam."
    spent = sum(entry["known_seconds"] or 0 for entry in entries)
    partly = [entry["policy"] for entry in entries if None in entry["seconds"].values()]
    if partly:
        known = words.count(spent) if spent else "none"
        yield (
            f"seconds: {known} are known here. Unknown in whole or part for {listed(partly)}: they stand beside the "
            "outputs, on the machine that ran the steps."
        )
    else:
        yield f"seconds: {words.count(spent)} in all."
    if uncounted := [entry["policy"] for entry in entries if "trained" not in (entry["tokens"] or {})]:
        yield f"trained: unknown for {listed(uncounted)}, for the same reason."
    if uncommitted := [entry["policy"] for entry in entries if entry["commit"] is None]:
        yield f"commit: none yet has {listed(uncommitted)}; commit dvc.lock to pin code and packages."


def listed(names: Sequence[str]) -> str:
    """Names in a sentence; the first and how many, where they are many."""
    return ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:MANY])} and {len(names) - MANY} more"


def page(found: Mapping[str, Any]) -> str:
    """The answer as one HTML file: the graph, what made each policy, and each policy's params and steps."""
    told = {"row": row, "base": base, "judged": judged, "task": task, "notes": [*notes(found)], "names": NAMES}
    return fill("show.html.j2", found=found, picture=picture(found), **told)
