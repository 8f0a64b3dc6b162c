"""Tests mirror the tree: a module has a test of its name, or one that is named here for it.

`flows/nights/gates.py` has `tests/flows/nights/test_gates.py`; of `stages`, whose rooms stand in
`tests` itself, `stages/pure/credit.py` has `tests/pure/test_credit.py`, and the step
`stages/score.py` has `tests/test_score.py`; of a step with a folder, `stages/grade/__main__.py` has
`tests/grade/test_main.py`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.code import ROOT, imported_modules, nodes, project_file

PACKAGES = ("flows", "lineage", "reading", "stages", "experiments", "benchmarks", "fixtures")
"""The packages whose modules all have a test, or stand in `COVERED_BY`."""
SCHEMAS = (
    *("advantages", "answers", "demos", "gains", "grades", "ledger", "probes", "problems"),
    *("rollouts", "scores", "segments", "solutions", "thoughts"),
)
COVERED_BY = {
    "benchmarks/audit_tree.py": "tests/benchmarks/test_audit_speed.py",
    "benchmarks/code/moves.py": "tests/benchmarks/code/test_reach.py",
    "benchmarks/gpu_parts.py": "tests/benchmarks/test_gpu_check.py",
    "reading/errors.py": "tests/reading/test_database.py",
    "reading/page.py": "tests/reading/test_server.py",
    "reading/pages.py": "tests/reading/test_server.py",
    "flows/commands/views/rollout_view.py": "tests/flows/commands/test_read.py",
    "benchmarks/trl/packages.py": "tests/benchmarks/trl/test_parity_sides.py",
    "benchmarks/trl/parity.py": "tests/benchmarks/trl/test_parity_sides.py",
    "benchmarks/trl/their_rounds.py": "tests/benchmarks/trl/test_our_rounds.py",
    "experiments/figures.py": "tests/experiments/test_results.py",
    "experiments/gather.py": "tests/experiments/test_results.py",
    "experiments/page.py": "tests/experiments/test_results.py",
    "experiments/tiny_checkpoint.py": "tests/engines/test_architecture.py",
    "lineage/record/printable.py": "tests/flows/project/test_printable.py",
    "fixtures/decoders.py": "tests/engines/test_varlen.py",
    "fixtures/tasks.py": "tests/verifiers/test_registry.py",
    "flows/commands/alert.py": "tests/flows/commands/test_serve.py",
    "flows/commands/deferred.py": "tests/flows/test_cli.py",
    "flows/commands/nights.py": "tests/flows/nights/test_flow.py",
    "flows/nights/work.py": "tests/flows/nights/test_flow.py",
    "flows/commands/tables.py": "tests/flows/commands/views/test_table_view.py",
    "flows/commands/train.py": "tests/flows/running/test_train.py",
    "flows/nights/champion.py": "tests/flows/nights/test_preflight.py",
    "flows/nights/stored.py": "tests/flows/nights/test_preflight.py",
    "flows/nights/ending.py": "tests/flows/nights/test_flow.py",
    "flows/nights/programs.py": "tests/flows/nights/test_flow.py",
    "flows/nights/runner.py": "tests/flows/commands/test_serve.py",
    "flows/plots_page.py": "tests/test_end_to_end.py",
    "flows/project/exit_codes.py": "tests/flows/running/test_stage.py",
    "flows/project/paths.py": "tests/flows/project/test_params_file.py",
    "flows/project/yaml_text.py": "tests/flows/project/test_params_file.py",
    "flows/running/children.py": "tests/flows/running/test_stage.py",
    "flows/running/guard.py": "tests/flows/test_run.py",
    "flows/running/pages.py": "tests/flows/commands/test_report.py",
    "flows/running/summary.py": "tests/flows/commands/test_look.py",
    "lineage/answers/exports/croissant.py": "tests/lineage/answers/test_export.py",
    "lineage/answers/exports/ml_bom.py": "tests/lineage/answers/test_export.py",
    "lineage/answers/exports/model_card.py": "tests/lineage/answers/test_export.py",
    "lineage/answers/exports/openlineage.py": "tests/lineage/answers/test_export.py",
    "lineage/answers/exports/origin.py": "tests/lineage/answers/test_export.py",
    "lineage/cli.py": "tests/lineage/proof/test_verify.py",
    "lineage/data/prompts.py": "tests/lineage/answers/test_leaks.py",
    "lineage/data/weights.py": "tests/lineage/data/test_closeness.py",
    "lineage/data/writing.py": "tests/lineage/answers/test_rows.py",
    "lineage/proof/examrows.py": "tests/lineage/proof/test_tampering.py",
    "lineage/proof/gate/check.py": "tests/lineage/proof/test_tampering.py",
    "lineage/proof/copies.py": "tests/lineage/proof/test_gathering.py",
    "lineage/proof/evidence.py": "tests/lineage/proof/test_gathering.py",
    "lineage/proof/history.py": "tests/lineage/proof/test_tampering.py",
    "lineage/proof/inspection.py": "tests/lineage/proof/test_verify.py",
    "lineage/proof/rowtables.py": "tests/lineage/proof/test_rowchecks.py",
    "lineage/proof/statement.py": "tests/lineage/proof/test_signing.py",
    "lineage/proof/wiring.py": "tests/lineage/proof/test_tampering.py",
    "lineage/record/listings.py": "tests/lineage/record/test_lock.py",
    "lineage/telling/page.py": "tests/lineage/telling/test_showtext.py",
    "lineage/telling/verifytext.py": "tests/lineage/proof/test_verify.py",
    "lineage/completion.py": "tests/flows/test_cli.py",
    "stages/contracts/params/rules.py": "tests/contracts/params/test_whole.py",
    "stages/verifiers/references.py": "tests/tasks/imported/test_dataset.py",
    "stages/verifiers/mathematics/answers.py": "tests/verifiers/test_math_answer.py",
    "stages/verifiers/mathematics/functions.py": "tests/verifiers/test_math_answer.py",
    "stages/verifiers/mathematics/library.py": "tests/verifiers/test_math_answer.py",
    "stages/verifiers/mathematics/readings.py": "tests/verifiers/test_math_answer.py",
    "stages/verifiers/mathematics/shapes.py": "tests/verifiers/test_math_answer.py",
    "stages/verifiers/mathematics/tokens.py": "tests/verifiers/test_math_answer.py",
    "stages/verifiers/mathematics/values.py": "tests/verifiers/test_math_answer.py",
    "stages/contracts/params/checksum.py": "tests/contracts/params/inits/test_model.py",
    "stages/contracts/tables/conversions.py": "tests/contracts/storage/test_older_files.py",
    **{
        f"stages/contracts/tables/{name}.py": "tests/contracts/tables/test_all.py"
        for name in SCHEMAS
    },
    "stages/demonstrate.py": "tests/test_sft.py",
    "stages/engines/pools/pool.py": "tests/engines/pools/test_here.py",
    "stages/engines/sampler.py": "tests/engines/test_turns.py",
    "stages/engines/samplers/vllm.py": "tests/engines/test_adapters.py",
    "stages/evaluate/headline.py": "tests/evaluate/test_main.py",
    "stages/evaluate/intervals.py": "tests/evaluate/test_main.py",
    "stages/probe/inputs.py": "tests/probe/test_sampled.py",
    "stages/pure/objectives/arrays.py": "tests/pure/objectives/test_information.py",
    "stages/report/measures.py": "tests/report/test_main.py",
    "stages/report/panels.py": "tests/report/test_main.py",
    "stages/summarize/findings.py": "tests/summarize/test_main.py",
    "stages/summarize/measured.py": "tests/summarize/test_main.py",
    "stages/summarize/points.py": "tests/summarize/test_main.py",
    "stages/tasks/imported/intake.py": "tests/tasks/imported/test_dataset.py",
    "stages/tasks/imported/user.py": "tests/test_prepare.py",
    "stages/tasks/imported/user_class.py": "tests/test_prepare.py",
    "stages/tasks/sources.py": "tests/test_prepare.py",
    "stages/tasks/task.py": "tests/tasks/test_rows.py",
    "stages/tasks/task_format.py": "tests/contracts/test_format.py",
    "stages/validate/tables.py": "tests/validate/test_refusal.py",
    "stages/verifiers/confinement.py": "tests/verifiers/test_isolated.py",
    "stages/verifiers/user.py": "tests/test_prepare.py",
}
"""By module without a test of its name, the test that imports or runs it."""
MODULE_NAME = re.compile(r"\b[a-z]\w*(?:\.\w+)+")


def modules(package: str) -> list[str]:
    """The modules of a package that have any content, as paths."""
    files = [file for file in (ROOT / package).rglob("*.py") if file.stat().st_size]
    return sorted(file.relative_to(ROOT).as_posix() for file in files if file.name != "__init__.py")


def mirrored(module: str) -> Path:
    """Where the test of a module's name stands."""
    package, *rooms, name = Path(module).parts
    above = [] if package == "stages" else [package]
    return ROOT.joinpath("tests", *above, *rooms, f"test_{name.replace('__main__', 'main')}")


def reached(test: Path) -> set[Path]:
    """The project's files that a test imports or runs, itself or through others.

    To run one is to name its module in a string, as in `["python", "-m", "flows.cli"]`.
    """
    files: set[Path] = set()
    pending = [test]
    while pending:
        file = pending.pop()
        if file not in files:
            files.add(file)
            names = [*imported_modules(file), *named_modules(file)]
            pending += filter(None, map(project_file, names))
    return files


def named_modules(file: Path) -> Iterator[str]:
    """Dotted names in a file's strings, but for its docstrings."""
    docstrings = {node.value for node in nodes(file) if isinstance(node, ast.Expr)}
    for node in nodes(file):
        if (
            isinstance(node, ast.Constant)
            and node not in docstrings
            and isinstance(node.value, str)
        ):
            yield from MODULE_NAME.findall(node.value)


@pytest.mark.parametrize("module", [m for package in PACKAGES for m in modules(package)])
def test_a_module_has_a_test(module: str) -> None:
    has_own, covering = mirrored(module).is_file(), COVERED_BY.get(module)
    assert has_own or covering, f"write {mirrored(module)}, or name the test of {module} here"
    assert not (has_own and covering), f"{module} has a test of its name: take it out of the list"


@pytest.mark.parametrize("module", COVERED_BY)
def test_the_test_that_is_named_imports_or_runs_the_module(module: str) -> None:
    test = ROOT / COVERED_BY[module]
    assert test.is_file()
    assert ROOT / module in reached(test)


def test_what_a_test_does_not_touch_is_not_reached() -> None:
    files = reached(ROOT / "tests/flows/nights/test_report.py")
    assert ROOT / "flows/nights/report.py" in files
    assert ROOT / "flows/nights/gates.py" not in files
