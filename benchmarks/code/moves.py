"""Where the code of stages stands now that stood elsewhere before it was cut as params are cut.

By hand, from git's renames where it knows them. A path that ends in a slash is a folder, any file
of which may have taken over; a file that is not named here stands where it stood.
"""

CONTRACTS = "stages/contracts"
PARAMS = f"{CONTRACTS}/params"
STORAGE = f"{CONTRACTS}/storage"
VALIDATE = "stages/validate"

FILES = {
    f"{CONTRACTS}/params.py": (f"{PARAMS}/",),
    f"{CONTRACTS}/task_params.py": (f"{PARAMS}/",),
    f"{CONTRACTS}/init_params.py": (f"{PARAMS}/",),
    f"{CONTRACTS}/recipe_params.py": (f"{PARAMS}/",),
    f"{CONTRACTS}/compute_params.py": (f"{PARAMS}/compute/",),
    f"{CONTRACTS}/tables.py": (f"{CONTRACTS}/tables/", f"{STORAGE}/"),
    f"{CONTRACTS}/parts.py": (f"{STORAGE}/",),
    f"{CONTRACTS}/joins.py": (f"{STORAGE}/joins.py",),
    f"{CONTRACTS}/errors.py": ("stages/running/errors.py",),
    f"{CONTRACTS}/facts.py": ("stages/running/publish.py",),
    f"{CONTRACTS}/progress.py": ("stages/running/progress.py",),
    f"{CONTRACTS}/publish.py": ("stages/running/publish.py", "stages/running/scratch.py"),
    f"{CONTRACTS}/warm.py": ("stages/__init__.py",),
    f"{CONTRACTS}/checks.py": (f"{VALIDATE}/",),
    f"{CONTRACTS}/frames.py": (f"{VALIDATE}/",),
    f"{CONTRACTS}/probe_checks.py": (f"{VALIDATE}/",),
    f"{CONTRACTS}/suites.py": (f"{VALIDATE}/",),
    f"{CONTRACTS}/expectations": (f"{VALIDATE}/expectations",),
    f"{CONTRACTS}/report/chains.py": (f"{CONTRACTS}/policy_tree.py", "stages/figures/"),
    f"{CONTRACTS}/report/figures.py": ("stages/figures/",),
    f"{CONTRACTS}/report": ("stages/report",),
    "stages/validate.py": (f"{VALIDATE}/",),
    "stages/report.py": ("stages/report/",),
    "stages/compare.py": ("stages/compare/",),
    "stages/evaluate.py": ("stages/evaluate/", "stages/grade/"),
    "stages/probe.py": ("stages/probe/",),
    "stages/update.py": ("stages/update/",),
    "stages/pure/curriculum.py": ("stages/evaluate/curriculum.py",),
    "stages/pure/objectives.py": ("stages/pure/objectives/",),
    "stages/engines/sampler.py": ("stages/engines/sampler.py", "stages/engines/turns.py"),
    "stages/engines/vllm_sampler.py": ("stages/engines/samplers/vllm.py",),
    "stages/engines/ray_pool.py": ("stages/engines/pools/ray.py",),
    "stages/engines/pool.py": ("stages/engines/pools/pool.py", "stages/engines/pools/here.py"),
    "stages/engines/policy_loss.py": ("stages/engines/training/",),
    "stages/engines/ranks.py": ("stages/engines/training/ranks.py",),
    "stages/engines/trainer.py": ("stages/engines/training/trainer.py",),
    "stages/engines/imitation.py": ("stages/engines/training/imitation.py",),
    "stages/engines/critic.py": ("stages/probe/critic.py", "stages/probe/critic_network.py"),
    "stages/engines/forced_answers.py": ("stages/probe/forced_answers.py",),
    "stages/engines/exam_sums.py": ("stages/evaluate/exam_sums.py",),
    "stages/tasks/formats.py": ("stages/tasks/formats.py", "stages/tasks/marks.py"),
    "stages/tasks/text_format.py": ("stages/tasks/text_format.py", "stages/tasks/marks.py"),
    "stages/verifiers/thinking.py": ("stages/grade/thinking.py",),
    "stages/verifiers/verdict.py": (f"{CONTRACTS}/verdict.py",),
    **{
        f"stages/tasks/{name}.py": (f"stages/tasks/imported/{name}.py",)
        for name in ("dataset", "intake", "row_files", "user", "user_class")
    },
}
"""Today's files by an old path; an old folder's files stand in the new one by their names."""

_CONTRACT, _READING, _WRITING = (f"{STORAGE}/{n}.py" for n in ("contract", "reading", "writing"))
_TABLES = f"{CONTRACTS}/tables.py"
_CHECKED = ("_check", "_check_key", "_check_schema", "_column", "_row_name", "_table")
_TYPES = ("FLAG", "FLOAT", "INT", "TEXT", "Table")

NAMES = {
    (f"{CONTRACTS}/params.py", "_OnceLoader"): f"{PARAMS}/whole.py",
    (f"{CONTRACTS}/params.py", "EXACT"): f"{CONTRACTS}/verdict.py",
    (f"{CONTRACTS}/params.py", "CountdownDemonstrations"): f"{PARAMS}/inits/demonstrations.py",
    (f"{CONTRACTS}/task_params.py", "CountdownDemonstrations"): f"{PARAMS}/inits/demonstrations.py",
    (f"{CONTRACTS}/task_params.py", "Demonstration"): f"{PARAMS}/inits/demonstrations.py",
    (f"{CONTRACTS}/task_params.py", "ENUMERABLE_TASKS"): f"{PARAMS}/task.py",
    (f"{CONTRACTS}/task_params.py", "ImportedTier"): f"{PARAMS}/task.py",
    (f"{CONTRACTS}/task_params.py", "STRATEGIES"): f"{PARAMS}/task.py",
    (f"{CONTRACTS}/compute_params.py", "LocalInference"): f"{PARAMS}/compute/inference.py",
    (f"{CONTRACTS}/compute_params.py", "RayInference"): f"{PARAMS}/compute/inference.py",
    (f"{CONTRACTS}/parts.py", "_check"): _CONTRACT,
    (f"{CONTRACTS}/parts.py", "_check_schema"): _CONTRACT,
    (f"{CONTRACTS}/parts.py", "_stored_bytes"): _READING,
    (f"{CONTRACTS}/parts.py", "batches"): _READING,
    (f"{CONTRACTS}/parts.py", "read"): _READING,
    (f"{CONTRACTS}/parts.py", "merged"): _READING,
    (f"{CONTRACTS}/parts.py", "write"): _WRITING,
    (f"{CONTRACTS}/parts.py", "writer"): _WRITING,
    **{(_TABLES, name): _CONTRACT for name in (*_CHECKED, *_TYPES)},
    **{(_TABLES, name): _WRITING for name in ("write", "writer", "_array", "_fits")},
    **{(_TABLES, name): _READING for name in ("read", "batches", "count_rows", "merged")},
    (_TABLES, "__all__"): _READING,
    (f"{CONTRACTS}/publish.py", "CODE"): "stages/running/publish.py",
    ("stages/evaluate.py", "_json"): "stages/evaluate/__main__.py",
    ("stages/evaluate.py", "_choices"): "stages/evaluate/__main__.py",
    ("stages/engines/varlen.py", "Segments"): "stages/engines/varlen.py",
    ("stages/engines/policy_loss.py", "_forward"): "stages/engines/training/policy_loss.py",
    ("stages/engines/policy_loss.py", "_place"): "stages/engines/training/placed.py",
    ("stages/probe.py", "_thought"): "stages/probe/inputs.py",
    ("stages/tasks/dataset.py", "_text"): "stages/tasks/imported/cells.py",
    ("stages/tasks/strategies.py", "Trace"): "stages/tasks/strategies.py",
    ("stages/update.py", "_given"): "stages/update/advantage.py",
    ("stages/update.py", "Columns"): "stages/update/round_tables.py",
    ("stages/validate.py", "Outcome"): f"{VALIDATE}/__main__.py",
    **{
        ("stages/verifiers/isolated.py", name): "stages/verifiers/isolated.py"
        for name in ("Judge", "Pool", "Request", "_verdict", "open_pool")
    },
    ("stages/verifiers/math_answer.py", "read"): "stages/verifiers/mathematics/answers.py",
    ("stages/engines/checkpoints.py", "_read"): "stages/engines/starts/files.py",
    **{
        ("stages/verifiers/reasoning_gym.py", name): "stages/tasks/families.py"
        for name in ("FORMULAS", "FUNCTIONS")
    },
    ("stages/examine.py", "_answer"): "stages/engines/turns.py",
    ("stages/infogain.py", "Estimate"): "stages/infogain.py",
    ("stages/infogain.py", "Row"): "stages/infogain.py",
    ("stages/sft.py", "Example"): "stages/engines/training/imitation.py",
    ("stages/sft.py", "summary"): "stages/engines/training/imitation.py",
    ("stages/sft.py", "train"): "stages/engines/training/imitation.py",
    ("stages/update.py", "Example"): "stages/engines/training/example.py",
    ("stages/validate.py", "_explain"): f"{VALIDATE}/refusal.py",
}
"""Today's file of what stood in an old file by a name that is gone, or that other files use too."""
