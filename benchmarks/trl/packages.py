"""TRL and what it needs, installed beside this environment, once."""

import os
import subprocess
import sys
from pathlib import Path

PINS = (
    "trl==1.16.0",
    "accelerate==1.15.0",
    "datasets==5.2.0",
    "dill==0.4.1",
    "multiprocess==0.70.19",
    "xxhash==4.1.0",
)
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")


def environment_with_trl(folder: Path) -> dict[str, str]:
    """The environment of a process that sees TRL; installs the pinned packages into `folder`."""
    if not (folder / "trl").is_dir():
        subprocess.run([sys.executable, *INSTALL, "--target", str(folder), *PINS], check=True)
    return {**os.environ, "PYTHONPATH": str(folder.resolve()), "HF_HUB_OFFLINE": "1"}
