"""Without this, a build that fails could end in tracebacks, and nobody would learn of its log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from amaranth import Module
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce

ROOT = Path(__file__).parents[3]
TRAIN = """
import sys
from backspike import cli
from backspike.sim.harness.session import Session
from tests.sim.harness.test_session import Bench

def work():
    session = Session(Bench())
    try:
        session.ready()
    finally:
        session.close()

sys.exit(cli.guarded("backspike train", work))
"""


class Bench(EmitOnce):
    """As little as can be built."""

    title = "Bench"

    def __init__(self):
        self.setting: dict[str, int] = {}
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


def test_without_a_compiler_there_is_a_sentence_and_a_log(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if "g++" not in program.name and "c++" not in program.name:
            (programs / program.name).symlink_to(program)
    run = subprocess.run(
        [sys.executable, "-c", TRAIN],
        cwd=ROOT,
        env={**os.environ, "PATH": str(programs), "BACKSPIKE_BUILD": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 2
    why, refusal = run.stderr.splitlines()
    log = re.fullmatch(r"Verilator or the compiler failed on Bench, and says why in (.*)", why)
    assert log and "g++" in Path(log[1]).read_text()
    assert refusal == "backspike train: the simulation could not be built or started"
