"""Without these, an example could be the first thing that does not work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def train_on_mesh(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "examples/train_on_mesh.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")


def test_training_on_a_mesh():
    run = train_on_mesh("--steps", "2", "--batch", "4")
    assert run.returncode == 0, run.stderr
    assert len(re.findall(r"^step \d+: .* values compared, 0 differ$", run.stdout, re.M)) == 2


def test_training_on_a_mesh_refuses_what_is_no_number_of_steps():
    run = train_on_mesh("--steps", "-1")
    assert run.returncode == 2
    assert run.stderr == "train_on_mesh.py: steps must be at least 1, not -1\n"
