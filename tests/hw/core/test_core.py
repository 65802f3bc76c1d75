"""Programs on a whole core, bit for bit as the instruction-level model has it."""

from __future__ import annotations

import pytest

from hw.presets import load
from sim.harness.core import CoreBench
from sim.harness.cosim import run
from sim.harness.session import LEAST_DRAM


@pytest.mark.parametrize("name", ["tiny"])
def test_core(name):
    bench = CoreBench(load(name), dram_bytes=LEAST_DRAM)
    run(
        bench,
        "tests.hw.core.cocotb_core",
        environment={"CORE_CONFIG": name, "CORE_CASES": "6"},
    )


@pytest.mark.parametrize(
    "corrupted", [2000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_faults(corrupted):
    bench = CoreBench(load("tiny"), dram_bytes=LEAST_DRAM)
    run(
        bench,
        "tests.hw.core.cocotb_faults",
        environment={"CORE_CONFIG": "tiny", "CORRUPTED": str(corrupted)},
    )
