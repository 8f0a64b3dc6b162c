"""`knowhow audit`: where a policy and its data came from.

What a command needs is imported when it runs: an audit answers in seconds, and needs neither DVC
nor torch.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console, RenderableType

from lineage.completion import policies
from lineage.record.audit import Audit, open_audit, split, split_remotes
from lineage.record.errors import AuditError, Finding
from lineage.record.printable import printable, without_secrets

EXIT_FINDING = 1
EXIT_BAD_INPUT = 2
PIPED_COLUMNS = 100

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Where a policy and its data came from: read from git, dvc.lock and the tables.",
    epilog="Ends with 0 when all is well, 1 on a finding, 2 when the question cannot be answered.",
)
Policy = Annotated[
    str,
    typer.Argument(
        metavar="POLICY[@REVISION]",
        help="A policy, of the working tree or a commit.",
        autocompletion=policies,
    ),
]
Repository = Annotated[Path, typer.Option("--repo", help="Checkout or bare clone to read.")]
Cache = Annotated[
    str | None, typer.Option(help="DVC cache to read, where the configuration does not say.")
]
Remotes = Annotated[
    list[str] | None,
    typer.Option("--remote", metavar="[NAME=]URL", help="DVC remote besides those configured."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Page = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write an HTML page, too.")
]
HERE = Path(".")
Answer = TypeVar("Answer")


def main() -> None:
    """Entry point of `python -m lineage`."""
    app(prog_name="knowhow audit")


def _examples(*lines: str) -> str:
    return "\n  ".join(("\b\nExamples:", *lines))


@app.command(epilog=_examples("knowhow audit show i3", "knowhow audit show i3@v1.0 --html i3.html"))
def show(
    policy: Policy,
    repository: Repository = HERE,
    as_json: AsJson = False,
    page: Page = None,
) -> None:
    """Every ancestor up to problems and base model, and what each step between took and gave."""
    from lineage.answers.show import show
    from lineage.telling import showtext
    from lineage.telling.page import write

    with answering(policy, repository) as (audit, name):
        answer = show(audit, name)
        write(page, showtext.page, answer)
        give(answer, showtext.text, as_json)


@app.command(epilog=_examples("knowhow audit rows i3", "knowhow audit rows i3 --out rows.parquet"))
def rows(
    policy: Policy,
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write every row: .parquet, .csv or .jsonl by its ending."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Which problems, demonstrations and rollouts trained it, and what was left out and why."""
    from lineage.answers.rows import rows
    from lineage.telling.rowtext import text

    with answering(policy, repository, cache, remotes) as (audit, name):
        answer = rows(audit, name, out)
        give(answer, text, as_json, answer.findings)


@app.command(epilog=_examples("knowhow audit leaks i3", "knowhow audit leaks i3 --json"))
def leaks(
    policy: Policy,
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
    as_json: AsJson = False,
) -> None:
    """Whether any exam problem is in the training data of the policy or of an ancestor."""
    from lineage.answers.leaks import leaks
    from lineage.telling.leaktext import text

    with answering(policy, repository, cache, remotes) as (audit, name):
        answer = leaks(audit, name)
        give(answer, text, as_json, answer.findings)


@app.command(
    epilog=_examples(
        "knowhow audit diff o3 i3", "knowhow audit diff i3@v1.0 i3 --html changed.html"
    )
)
def diff(
    before: Policy,
    after: Policy,
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
    as_json: AsJson = False,
    page: Page = None,
) -> None:
    """What two policies differ by: params, code, environment, data, rewards, exam."""
    from lineage.answers.diff import diff
    from lineage.telling import difftext
    from lineage.telling.page import write

    with (
        answering(before, repository, cache, remotes) as (first, earlier),
        answering(after, repository, cache, remotes) as (second, later),
    ):
        answer = diff(first, earlier, second, later)
        write(page, difftext.page, answer)
        give(answer, difftext.text, as_json)


@app.command(
    epilog=_examples("knowhow audit verify i3", "knowhow audit verify i3 --public-key release.pub")
)
def verify(
    policy: Policy,
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Whose signature its statement must bear; else none is asked."
        ),
    ] = None,
    gate: Annotated[
        bool, typer.Option(help="Hold the rows of its rounds against the gate's expectations.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Hash every byte the policy came from anew, hold rows together, and check its signature."""
    from lineage.proof.verify import verify
    from lineage.telling.verifytext import text

    with answering(policy, repository, cache, remotes) as (audit, name):
        answer = verify(audit, name, public_key, gate)
        give(answer, text, as_json, answer.findings)


@app.command(epilog=_examples("knowhow audit key release.key release.pub"))
def key(private_key: Path, public_key: Path) -> None:
    """Make a pair of keys to sign with. The private one stays out of git."""
    from lineage.proof.keys import make_keys

    with answered():
        make_keys(private_key, public_key)


@app.command(epilog=_examples("knowhow audit sign i3 --key release.key"))
def sign(
    policy: Policy,
    key: Annotated[
        Path, typer.Option(metavar="FILE", help="Private key; `knowhow audit key` makes one.")
    ],
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
) -> None:
    """Sign what the policy is and what it was made of, for `verify` to hold it to."""
    from lineage.proof.signing import sign

    with answering(policy, repository, cache, remotes) as (audit, name):
        for path in sign(audit, name, key):
            print(path)


@app.command(
    epilog=_examples("knowhow audit rebuild i3", "knowhow audit rebuild i3@v1.0 --folder rebuilt")
)
def rebuild(
    policy: Policy,
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to build, kept; else a folder that goes.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the policy anew in a clean clone; how close it came, and where it first differs."""
    from lineage.answers.rebuild import rebuild
    from lineage.telling.rebuildtext import text

    with answering(policy, repository, cache, remotes) as (audit, name):
        answer = rebuild(audit, name, folder)
        give(answer, text, as_json, answer.findings)


@app.command(epilog=_examples("knowhow audit export i3 --folder exports"))
def export(
    policy: Policy,
    folder: Annotated[Path, typer.Option(help="Where to write them.")],
    repository: Repository = HERE,
    cache: Cache = None,
    remotes: Remotes = None,
) -> None:
    """Write its lineage as OpenLineage, CycloneDX ML-BOM, Croissant and a model card."""
    with answering(policy, repository, cache, remotes) as (audit, name):
        from lineage.answers.export import export

        for path in export(audit, name, folder):
            print(path)


@contextmanager
def answering(
    spec: str, repository: Path, cache: str | None = None, remotes: list[str] | None = None
) -> Iterator[tuple[Audit, str]]:
    """Open what a policy is asked of; a question that cannot be answered ends the program."""
    policy, revision = split(spec)
    with answered():
        audit = open_audit(repository, revision, cache, split_remotes(remotes or ()))
        audit.graph.policy(policy)
        yield audit, policy


@contextmanager
def answered() -> Iterator[None]:
    """End the program with 2 and one line where a question cannot be answered.

    Nor without the packages of an extra, which signatures and exports need.
    """
    try:
        yield
    except AuditError as error:
        message = without_secrets(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "lineage"):  # our own: a bug
            raise
        message = (
            f"{package} is not installed; it comes with the extra `lineage`: "
            "run `pip install '.[lineage]'` in the folder of Knowhow"
        )
    else:
        return
    print(f"error: {printable(message)}", file=sys.stderr)
    raise SystemExit(EXIT_BAD_INPUT)


def give(
    answer: Answer,
    text: Callable[[Answer], RenderableType],
    as_json: bool,
    findings: Sequence[Finding] = (),
) -> None:
    """Print an answer, and end with 1 where there are findings."""
    if as_json:
        from lineage.telling.plain import plain

        print(without_secrets(json.dumps(plain(answer), indent=2)))
    else:
        from lineage.telling.terminal import Plainly

        console = Console(highlight=False, soft_wrap=True)
        console.width = console.width if console.is_terminal else PIPED_COLUMNS
        console.print(Plainly(text(answer)))
    if findings:
        raise SystemExit(EXIT_FINDING)
