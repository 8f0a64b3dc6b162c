"""Run a command and leave nothing of it: `python -m flows.run GRACE_SECONDS COMMAND …`.

When the command ends, or standard input closes, whatever is still running below it is ended.
"""

import sys

from flows.running.guard import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
