"""A few weights through the update engine: something to see."""

from __future__ import annotations

import cocotb

from backspike.hw.arith.format import BINARY16
from backspike.hw.neuron.update import UpdateEngine
from backspike.sim.harness.driver import EngineDriver


@cocotb.test()
async def something_happens(dut):
    engine = UpdateEngine(format=BINARY16, lanes=2, update_lanes=1)
    driver = EngineDriver(dut, engine, dict.fromkeys(("dw", "w", "v", "stored"), 8))
    await driver.reset()
    await driver.run({"words": 3})
