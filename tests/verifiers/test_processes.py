"""A process's own time, and how it ended."""

import signal
import subprocess
import sys

from stages.verifiers.confinement import OUT_OF_TIME
from stages.verifiers.processes import ended_by, processor_seconds

LIMITED = "from stages.verifiers.confinement import limit_processor as l; l(.1)\nwhile True: pass"


def test_time_asleep_is_no_processor_time() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert processor_seconds(process) < 1
        process.kill()
    assert processor_seconds(process) == 0


def test_time_at_work_is() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        while processor_seconds(process) < 0.2:
            pass
        process.kill()
    assert not ended_by(process, OUT_OF_TIME)
    assert ended_by(process, [-signal.SIGKILL])


def test_who_uses_up_its_time_ends_so() -> None:
    with subprocess.Popen([sys.executable, "-c", LIMITED]) as process:
        process.wait()
    assert ended_by(process, OUT_OF_TIME)
