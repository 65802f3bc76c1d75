"""Without this, builds could land in whatever folder a command is run in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/home/ada/.cache/backspike"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/backspike"),
        ({"XDG_CACHE_HOME": "/cache", "BACKSPIKE_BUILD": "/told"}, "/told"),
        ({"BACKSPIKE_BUILD": "~/told"}, "/home/ada/told"),
        ({"BACKSPIKE_BUILD": "told"}, f"{ROOT}/told"),
    ],
)
def test_builds_lie_where_told_or_in_the_cache_of_the_user(environment, folder):
    code = "from backspike.sim.harness.tools import BUILD_ROOT; print(BUILD_ROOT)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"HOME": "/home/ada", **environment},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.stdout == f"{folder}\n", run.stderr
