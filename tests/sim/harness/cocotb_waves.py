"""A few weights through the update engine: something to see."""

from __future__ import annotations

import cocotb

from backspike.hw.arith.format import BINARY16
from backspike.hw.neuron.update import UpdateEngine, update_fields
from backspike.sim.harness.driver import EngineDriver


@cocotb.test()
async def something_happens(dut):
    engine = UpdateEngine(format=BINARY16, lanes=2, update_lanes=1)
    driver = EngineDriver(dut, engine, dict.fromkeys(("dw", "w", "v", "stored"), 8))
    await driver.reset()
    await driver.run(update_fields(words=3, dw=0, w=0, v=0, stored=0, k=0, wd=0, mu=0, lr=0))
