"""What the commands end with. A test compares those that stages use too."""

STAGE_FAILED = 1
BAD_INPUT = 2
GATE_FAILED = 3
MACHINE = 75  # sysexits.h EX_TEMPFAIL: the machine failed, and not the input
