"""Without these, words and messages between cores could be lost, doubled, or come elsewhere."""

from __future__ import annotations

import pytest

from backspike.sim.harness.cosim import run
from tests.hw.chip.bench import chip_bench

LARGER = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("joined", "joined-four", "shared")
]


@pytest.mark.parametrize("chip", ["square", *LARGER])
def test_chip(chip):
    run(chip_bench(chip), "tests.hw.chip.cocotb_chip", environment={"CHIP": chip})
