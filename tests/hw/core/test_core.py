"""Programs on a whole core, bit for bit as the instruction-level model has it."""

from __future__ import annotations

import pytest

from sim.harness.core import CoreBench
from sim.harness.cosim import run
from sim.harness.session import LEAST_DRAM
from tests.hw.core.chips import CHIPS, OTHERS


def _run(chip, testbench, **environment):
    bench = CoreBench(CHIPS[chip], dram_bytes=LEAST_DRAM)
    run(bench, testbench, environment={"CORE_CHIP": chip, **environment})


@pytest.mark.parametrize("chip", ["tiny", *OTHERS])
def test_core(chip):
    _run(chip, "tests.hw.core.cocotb_core", CORE_CASES="6" if chip == "tiny" else "3")


@pytest.mark.parametrize(
    "corrupted", [2000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_faults(corrupted):
    _run("tiny", "tests.hw.core.cocotb_faults", CORRUPTED=str(corrupted))
