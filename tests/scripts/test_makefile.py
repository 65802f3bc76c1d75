"""Without these, make could pass on the wrong words, or set up with a Python that is too old."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from backspike.cli import VERBS

ROOT = Path(__file__).parents[2]


def make(*arguments, cwd=ROOT):
    command = ["make", "--file", str(ROOT / "Makefile"), *arguments]
    # The tests themselves may run under make, which leaves its flags in the environment.
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8")


def test_help_names_every_target():
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    listed = [line.split()[0] for line in make("help").stdout.splitlines()]
    assert listed == targets
    assert set(VERBS) - {"unit"} <= set(targets)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["verilog"], "backspike verilog paper"),
        (["verilog", "CONFIG=my.toml"], "backspike verilog my.toml"),
        (
            ["verilog", "CONFIG=tiny", "SET=array.lanes=8 fp.w=64"],
            "backspike verilog tiny --set array.lanes=8 --set fp.w=64",
        ),
        (["sim", "WAVES=1"], "python -m scripts.sim --waves"),
        (["bench", "ONLY=lut_fp"], "python -m scripts.bench --only lut_fp"),
        (["train", "ARGS=--epochs 1"], "backspike train --epochs 1"),
        (["train", "CONFIG=paper", "BACKEND=rtl"], "backspike train --config paper --backend rtl"),
        (["disassemble", "ARGS=a.json"], "backspike disassemble a.json"),
        (["test"], 'python -m pytest -n auto -m "not slow"'),
        (["test-all", "JOBS=3"], "python -m pytest -n 3"),
    ],
)
def test_targets_pass_on_what_they_are_given(arguments, command):
    lines = make("--dry-run", *arguments).stdout.splitlines()
    assert " ".join(lines[-1].split()) == f".venv/bin/{command}"


def test_an_old_python_is_refused_in_a_sentence(tmp_path):
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 || exit 1\n')
    old.chmod(0o755)
    result = make("setup", f"PYTHON={old}", cwd=tmp_path)
    assert result.returncode != 0
    assert result.stderr.startswith("Backspike needs Python 3.11 or newer, not Python 3.9.2\n")
    assert not (tmp_path / ".venv").exists()
