"""A training step on the core: all that it leaves in DRAM, against the model of networks."""

from __future__ import annotations

import copy
import os
from typing import Any

import cocotb
import numpy as np

from hw.instruction import Fault
from hw.presets import load
from scripts.train import CLASSES, Training, TrainingSettings, batches, load_digits
from sim.harness.core import CoreBench, CoreDriver
from sim.model import UpdateRule
from tests.hw.core.cocotb_core import DRAM_BYTES
from toolchain.step import plan_step

SAMPLES = 8
LOSS_SCALE = 1024
RULE = UpdateRule(lr=0.1, mu=0.9, k=1 / LOSS_SCALE)


@cocotb.test()
async def digits(dut: Any) -> None:
    """Two steps, one behind the other on the same DRAM, with a slow bus and with a fast one."""
    config = load(os.environ["CORE_CONFIG"])
    settings = TrainingSettings(batch=SAMPLES)
    print(f"seed {settings.seed}")
    training = Training.start(config, settings)
    network, weights = training.network, training.weights
    data, _ = load_digits()
    driver = CoreDriver(dut, CoreBench(config, dram_bytes=DRAM_BYTES))
    plan = plan_step(network, config, SAMPLES)
    order = batches(len(data.x), settings, 0)
    for latency, stall in ((40, 40), (4, 0)):
        chosen = next(order)
        x, targets = data.x[None, chosen], np.eye(CLASSES)[data.y[chosen]]
        image = plan.image(weights, x, targets, RULE, LOSS_SCALE)
        before = copy.deepcopy(weights)
        record = network.train_step(x, targets, weights, RULE, loss_scale=LOSS_SCALE)
        await driver.reset(latency=latency, stall=stall)
        driver.dram[: len(image)] = image
        outcomes, _ = await driver.run(plan.addresses)
        assert all(outcome.fault is Fault.NONE for outcome in outcomes.values()), outcomes
        assert any(o.overflow or o.invalid for o in outcomes.values()) == bool(record.status)
        found = plan.read(driver.dram[: len(image)].copy())
        assert np.array_equal(found.rates, record.rates)
        for index, (here, there) in enumerate(zip(found.layers, record.layers, strict=True)):
            for name in ("u", "s_out", "du", "dw", "w_new", "v_new", "w_stored_new"):
                one, other = getattr(here, name), getattr(there, name)
                # As bits: +0 and -0 differ.
                assert one.tobytes() == np.asarray(other, one.dtype).tobytes(), (index, name)
            assert not np.array_equal(here.w_new, before[index].w), "nothing was learnt"
