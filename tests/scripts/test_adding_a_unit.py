"""Without this, who does what docs/adding-a-unit.md says could end up without a unit that works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-unit.md"
BLOCKS = re.findall(r"^```(python|diff)\n(.*?)^```", PAGE.read_text(), re.M | re.S)


def carry_out(kind: str, block: str, root: Path) -> None:
    """Writes the file that a block is, or adds to one the lines with + behind those without."""
    title, _, text = block.partition("\n")
    path = root / title.removeprefix("# ")
    if kind == "python":
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
        return
    lines, at = path.read_text().splitlines(), 0
    for line in text.splitlines():
        if line.startswith("+"):
            lines.insert(at, line[1:])
            at += 1
        else:
            assert lines.count(line[1:]) == 1, f"{title} must have the line {line[1:]!r} once"
            at = lines.index(line[1:]) + 1
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the unit in it."""
    root = tmp_path_factory.mktemp("project")
    for folder in ("backspike", "hw", "sim"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, symlinks=True, ignore=ignored)
    (root / "tests" / "hw").mkdir(parents=True)
    for kind, block in BLOCKS:
        if block.startswith("# "):
            carry_out(kind, block, root)
    return root


def run(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_unit_passes_its_tests(project):
    assert "3 passed" in run(project, "-m", "pytest", "-q", "tests/hw/fill")


def test_the_unit_becomes_verilog(project):
    (example,) = (block for _, block in BLOCKS if not block.startswith("# "))
    assert "module fill_engine_formate5m10_lanes4(" in run(project, "-c", example)
