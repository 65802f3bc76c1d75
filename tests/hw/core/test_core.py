"""Without these, units at work side by side could race, or a wrong instruction do its harm."""

from __future__ import annotations

import pytest

from backspike.hw.core.core import Core
from backspike.hw.presets import load
from backspike.sim.harness.core import CoreBench
from backspike.sim.harness.cosim import run
from backspike.sim.harness.mesh import LEAST_DRAM
from tests.hw.core.chips import CHIPS, OTHERS


def _run(chip, testbench, **environment):
    bench = CoreBench(CHIPS[chip], dram_bytes=LEAST_DRAM)
    run(bench, testbench, environment={"CORE_CHIP": chip, **environment})


def test_a_core_is_the_same_in_all_chips():
    """It is emitted once, and built once for simulations of all of them."""
    one, many = load("tiny"), load("tiny", ["mesh.columns=8", "mesh.rows=4", "clocks.noc_mhz=200"])
    assert one != many
    assert Core.from_config(one).parameters == Core.from_config(many).parameters
    other = load("tiny", ["dram.bus_bits=128"])
    assert Core.from_config(one).parameters != Core.from_config(other).parameters


@pytest.mark.parametrize("chip", ["tiny", *OTHERS])
def test_core(chip):
    _run(chip, "tests.hw.core.cocotb_core", CORE_CASES="6" if chip == "tiny" else "3")


@pytest.mark.parametrize(
    "corrupted", [1000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_faults(corrupted):
    _run("tiny", "tests.hw.core.cocotb_faults", CORRUPTED=str(corrupted))
