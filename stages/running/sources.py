"""The source of every module of this package as it was when it was loaded.

Files may change after a process has read them. What a step says that it ran is therefore held
against these bytes, and not against what stands in the folder by then.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = __name__.split(".")[0]
ROOT = Path(__file__).parents[2]
LOADED: dict[Path, bytes] = {}
"""By file; of a module that was loaded twice, the later."""


def remember() -> None:
    """From now on keep the source of each module that is loaded, and of those that are already."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name, module in list(sys.modules.items()):
        if _is_ours(name) and (file := getattr(module, "__file__", None)):
            LOADED[Path(file)] = Path(file).read_bytes()
    sys.meta_path.insert(0, _Finder())


def edited() -> list[str]:
    """Modules whose file is another now than it was when they were loaded."""
    return sorted(
        file.relative_to(ROOT).as_posix()
        for file, source in LOADED.items()
        if file.is_relative_to(ROOT) and (not file.is_file() or file.read_bytes() != source)
    )


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == PACKAGE


class _Finder(MetaPathFinder):
    """Finds this package's modules as Python does, and has their source kept."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_ours(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        LOADED[Path(self.path)] = self.get_data(self.path)
        return super().get_code(fullname)
