"""What the parent of a worker process sees of it: its processor time, and how it ended."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

USER_TICKS, SYSTEM_TICKS = 11, 12  # of what stands behind the name in /proc/PID/stat, proc(5)
END_SECONDS = 10.0


def processor_seconds(process: "subprocess.Popen[bytes]") -> float:
    """Processor time that a process has used, in all its threads; 0 for one that is gone."""
    try:
        statistics = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    words = statistics.rpartition(")")[2].split()
    return (int(words[USER_TICKS]) + int(words[SYSTEM_TICKS])) / os.sysconf("SC_CLK_TCK")


def ended_by(process: "subprocess.Popen[bytes]", codes: Sequence[int]) -> bool:
    """Whether a process that has closed its connection ended with one of these exit codes."""
    try:
        return process.wait(END_SECONDS) in codes
    except subprocess.TimeoutExpired:
        return False
