"""Without these, an example could be the first thing that does not work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_training_on_a_mesh():
    command = [sys.executable, "examples/train_on_mesh.py", "--steps", "2", "--batch", "4"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert len(re.findall(r"^step \d+: .* values compared, 0 differ$", run.stdout, re.M)) == 2
