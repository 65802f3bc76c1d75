"""Without these, builds could land anywhere, and a tool that fails could end in a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backspike.sim.harness.tools import ToolError, call_tool

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


def test_a_tool_gives_what_it_prints_and_leaves_it_in_a_log(tmp_path):
    script = "echo out; echo err >&2; exit 3"
    assert call_tool("sh", "-c", script, folder=tmp_path, expected=(0, 3)) == "out\nerr\n"
    assert (tmp_path / "sh.log").read_text() == "out\nerr\n"


def test_a_tool_that_fails_or_is_missing_is_named_in_a_sentence(tmp_path):
    with pytest.raises(ToolError) as error:
        call_tool("sh", "-c", "echo why; exit 3", folder=tmp_path)
    assert str(error.value) == f"sh failed with status 3, and says why in {tmp_path}/sh.log"
    with pytest.raises(ToolError, match="no-such-tool must be installed"):
        call_tool("no-such-tool", folder=tmp_path)
