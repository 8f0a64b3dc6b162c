"""The source of a module is kept as it was when it was loaded."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOAD_THEN_EDIT = """
import stages.pure
from pathlib import Path
from stages.running import sources

file = sources.ROOT / "stages/pure/__init__.py"
assert sources.LOADED[file] == file.read_bytes()
assert sources.ROOT / "stages/__init__.py" in sources.LOADED
assert sources.edited() == []
sources.LOADED[file] += b"# as if it had been edited since"
print(sources.edited())
finders = list(__import__("sys").meta_path)
sources.remember()
assert finders == __import__("sys").meta_path
"""


def test_what_was_loaded_is_known_whatever_stands_there_now() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_THEN_EDIT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['stages/pure/__init__.py']\n", done.stderr
