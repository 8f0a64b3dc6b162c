"""Resolve pyproject.toml by uv, write one version a package as its lock, and export requirements/.

`make lock` keeps the pins, adds one for each package that is new, and drops those nobody needs.
`make lock MOVE="prefect dvc"` lets the pins of these packages go first, `MOVE=all` every pin.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYPROJECT = ROOT / "pyproject.toml"
LOCK = re.compile(r"(?<=\nconstraint-dependencies = \[\n).*?(?=^\]$)", re.DOTALL | re.MULTILINE)
ENGINES = ("cpu", "gpu")
BESIDES = ("lineage", "dev")
HEADER = "# By `make lock` from pyproject.toml."

Pins = Mapping[str, str]
"""The version of each package."""


def locked(text: str) -> dict[str, str]:
    """The pins of the lock in a pyproject.toml."""
    pins = tomllib.loads(text)["tool"]["uv"]["constraint-dependencies"]
    return dict(pin.split("==") for pin in pins)


def with_lock(text: str, pins: Pins) -> str:
    """A pyproject.toml with these pins for its lock."""
    lines = "".join(f'  "{name}=={version}",\n' for name, version in sorted(pins.items()))
    return LOCK.sub(lines, text, count=1)


def parsed(export: str, before: Pins) -> dict[str, str]:
    """The pins of what `uv export` writes, one version for every Python.

    Of a package with several the one from before, which had that merit, or else the first.
    """
    pins: dict[str, str] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", export, re.MULTILINE):
        if pins.setdefault(name, version) != version:
            pins[name] = before.get(name, pins[name])
    return pins


def files(sets: Mapping[str, Pins]) -> dict[str, str]:
    """The text of each file of requirements/: an engine's has all, another what it adds to both."""
    shared = sets["cpu"].keys() & sets["gpu"].keys()
    added = {name: {k: v for k, v in sets[name].items() if k not in shared} for name in BESIDES}
    complete = {name: sets[name] for name in ENGINES}
    return {
        f"{name}.txt": "\n".join([HEADER, *sorted(f"{k}=={v}" for k, v in pins.items()), ""])
        for name, pins in {**complete, **added}.items()
    }


def merged(sets: Mapping[str, Pins], own: set[str]) -> dict[str, str]:
    """The lock of all sets: of a package the version it has in the first of them.

    Args:
        sets: The pins of each extra, with those of the base.
        own: Packages that pyproject.toml pins by the extras `cpu` and `gpu`.
    """
    lock: dict[str, str] = {}
    for pins in sets.values():
        lock = {**pins, **lock}
    return {name: version for name, version in lock.items() if name not in own}


def own_pins(text: str, engine: str) -> dict[str, str]:
    """The packages that the extra of an engine pins itself."""
    needs = tomllib.loads(text)["project"]["optional-dependencies"][engine]
    return dict(need.split("==") for need in needs if "==" in need)


def uv(*arguments: str) -> str:
    """What a command of uv prints."""
    command = ["uv", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def resolve(move: Iterable[str], before: Pins) -> dict[str, dict[str, str]]:
    """The pins of each extra, with those of the base."""
    upgrade = ["--upgrade"] if "all" in move else [f"--upgrade-package={name}" for name in move]
    uv("lock", "--quiet", *upgrade)
    plain = ["--frozen", "--quiet", "--no-hashes", "--no-annotate", "--no-header"]
    export = ["export", *plain, "--no-emit-project", "--extra"]
    return {extra: parsed(uv(*export, extra), before) for extra in (*ENGINES, *BESIDES)}


def main(move: list[str]) -> None:
    """Write the lock and its exports; pyproject.toml stays as it was if uv finds no solution."""
    before = PYPROJECT.read_text(encoding="utf-8")
    own = {name for engine in ENGINES for name in own_pins(before, engine)}
    old = locked(before)
    lock = {} if "all" in move else {name: old[name] for name in old.keys() - {*move}}
    try:
        PYPROJECT.write_text(with_lock(before, lock), encoding="utf-8")
        sets = resolve(move, old)
        while (new := merged(sets, own)) != lock:  # pins may make other packages needed, or fewer
            lock = new
            PYPROJECT.write_text(with_lock(before, lock), encoding="utf-8")
            sets = resolve([], old)
    except BaseException:
        PYPROJECT.write_text(before, encoding="utf-8")
        raise
    for name, text in files(sets).items():
        (ROOT / "requirements" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if not shutil.which("uv"):
        sys.exit("make lock needs uv: `pip install uv`")
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"make lock: {error}")
