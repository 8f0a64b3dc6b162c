"""The bytes of some steps' outputs: which files there are, and where right bytes of each lie."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from lineage.record.digests import Digests
from lineage.record.errors import Finding
from lineage.record.lock import File


@dataclass(frozen=True)
class OutputFile:
    """One file of an output, or the list of the files of a folder."""

    path: str
    md5: str
    """As dvc.lock has it: of a list with `.dir` behind it."""
    is_list: bool = False
    in_git: bool = False
    """Kept by git, not by DVC's cache: metrics."""


@dataclass
class Evidence:
    """What hashing every byte anew came to."""

    files: dict[str, OutputFile] = field(default_factory=dict)
    """By path."""
    digests: dict[str, Digests] = field(default_factory=dict)
    """Of bytes that are right, by the md5 that dvc.lock has."""
    openers: dict[str, Callable[[], IO[bytes]]] = field(default_factory=dict)
    """Opens right bytes, by the same."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    num_files: int = 0
    num_bytes: int = 0

    def find(self, check: str, subject: str, message: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(check, subject, message))

    def keep(self, md5: str, digests: Digests, opener: Callable[[], IO[bytes]]) -> None:
        """Remember where right bytes lie."""
        self.digests.setdefault(md5, digests)
        self.openers.setdefault(md5, opener)

    def files_of(self, out: File) -> list[OutputFile]:
        """The files an output is made of, as far as its list is known."""
        within = f"{out.path}/"
        paths = (path for path in self.files if path == out.path or path.startswith(within))
        return [self.files[path] for path in paths]

    def open(self, path: str) -> IO[bytes] | None:
        """A file's bytes, from wherever they are right; None where they are nowhere."""
        file = self.files.get(path)
        opener = self.openers.get(file.md5) if file else None
        return opener() if opener else None
