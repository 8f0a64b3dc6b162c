"""The steps of the method.

Importing any of them first settles what its libraries read from the environment.
"""

import os

# Two spinning thread pools on two cores collapse; nothing is downloaded; nothing is reported home.
for _name, _value in {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_name, _value)

from stages.running.warm import hand_over  # noqa: E402 (what it forks reads the settings above)

hand_over()
