"""Which rollouts are shown, and what is shown of them."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
import numpy as np
import pytest
from PIL import Image
from fixtures.checkouts import ROOT
from stages.contracts.params.whole import load
from stages.contracts.policy_tree import branch, chains, replicates
from stages.figures.looks import looks
from stages.report import __main__ as report
from stages.report.excerpts import choose
from stages.report.page import points, tint
from stages.running.errors import BadInput
from tests.world import (
    CONTENTS,
    HOSTILE,
    SILENT,
    World,
    make_world,
    round_entry,
    write_json,
    write_round,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


def test_rollouts_of_largest_spread_are_chosen_one_a_problem(world: World) -> None:
    gains = report.read_round(world.data / "rounds/i1").gains
    problem_of = {f"i1/{name}/{sample}": name for name, sample in CONTENTS}
    assert choose(gains, problem_of, 6) == ["i1/q0/0"]
    assert choose(gains, dict.fromkeys(problem_of, "") | {"i1/q0/1": "other"}, 6) == [
        "i1/q0/0",
        "i1/q0/1",
    ]
    assert choose(gains, dict.fromkeys(problem_of, "") | {"i1/q0/1": "other"}, 1) == ["i1/q0/0"]
