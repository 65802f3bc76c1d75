"""The update engine against the model: the whole of every memory, statuses, and counters."""

from __future__ import annotations

import cocotb
import numpy as np

from backspike.compiler.lowering.words import codes_dtype
from backspike.hw.arith.format import Float
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status, UpdateRule, encode, update
from tests.hw.launch import bench_settings
from tests.hw.neuron.settings import UPDATE_WORDS

RULES = [
    UpdateRule(lr=0.1, mu=0.9),
    UpdateRule(lr=0.05, mu=0.9, wd=1e-4, k=1 / 96),
    UpdateRule(lr=1e30, mu=0.0, wd=-1e-40, k=2.0**-20),
]
SPECIAL = [0.0, -0.0, 1e-45, 1e-38, 3.4e38, -3.4e38, np.inf, np.nan]
MOST_OVERHEAD = 90
"""Cycles of an update without stalls beyond those in which weights enter."""


def code(number: float) -> int:
    return int(np.float32(number).view(np.uint32))


def edges(format: Float) -> list[float]:
    """Where a stored weight becomes infinite or zero: the largest number, ties beside it, ..."""
    top, step = 2.0**format.top, 2.0 ** (format.top - format.mantissa - 1)
    return [top - step, top - step / 2, -(top - step / 2 - step / 1024), 2.0 ** (format.lsb - 1)]


@cocotb.test()
async def update_equals_model(dut):
    settings = bench_settings()
    random = np.random.default_rng(settings.seed)
    lanes, format = settings.lanes, settings.format
    driver = EngineDriver(dut, settings.engine(), settings.depths)
    await driver.reset()
    for case in range(60):
        wild, inhibit = case % 3 == 2, case % 7 == 6
        rule = RULES[case % len(RULES)] if wild else RULES[case % 2]
        words = [1, 2, 9, int(random.integers(1, 40))][case % 4]
        memories = {}
        for name in ("dw", "w", "v"):
            values = random.normal(0, 1, (UPDATE_WORDS, lanes)).astype(np.float32)
            if wild:
                special = random.choice(np.float32(SPECIAL + edges(format)), values.shape)
                values = np.where(random.random(values.shape) < 0.1, special, values)
            values[np.isnan(values)] = np.uint32(0x7FC00000).view(np.float32)
            memories[name] = values.view(np.uint32)
        codes = random.integers(1 << format.width, size=(UPDATE_WORDS, lanes))
        memories["stored"] = codes.astype(codes_dtype(format))
        for name, values in memories.items():
            driver.load(name, values)
        first = {name: int(random.integers(UPDATE_WORDS - words + 1)) for name in memories}
        status = Status()
        parts = {name: slice(first[name], first[name] + words) for name in memories}
        if not inhibit:
            old = {name: memories[name][parts[name]].view(np.float32) for name in ("w", "v", "dw")}
            made = update(**old, rule=rule, status=status, format=format)
            memories["w"][parts["w"]] = made.w.view(np.uint32)
            memories["v"][parts["v"]] = made.v.view(np.uint32)
            memories["stored"][parts["stored"]] = encode(made.w_stored, format)
        dut.stall.value = stall = int(random.choice([0, 0, 40, 150]))
        scalars = {name: code(getattr(rule, name)) for name in ("k", "wd", "mu", "lr")}
        cycles = await driver.run(
            {"words": words, **first, **scalars, "inhibit": int(inhibit)}, limit=50_000
        )
        what = f"case {case} {words=} {inhibit=} {stall=} {rule}"
        for name, values in memories.items():
            found = driver.fetch(name, 0, UPDATE_WORDS, values.dtype)
            wrong = np.argwhere(found != values)
            assert not len(wrong), f"{what}: {len(wrong)} wrong in {name}, first at {wrong[0]}"
        expected = {"overflow": status.overflow, "invalid": status.invalid}
        assert driver.statuses == expected, f"{what}: {driver.statuses} is not {expected}"
        counters = driver.counters()
        done = 0 if inhibit else words
        entered = done * lanes // settings.update_lanes
        assert counters["busy"] == entered, f"{what}: {counters}"
        assert counters["lanes"] == done * lanes, f"{what}: {counters}"
        for port in ("dw_reads", "w_reads", "v_reads", "w_writes", "v_writes", "stored_writes"):
            assert counters[port] == done, f"{what}: {counters}"
        if not stall:
            assert cycles <= entered + MOST_OVERHEAD, f"{what}: {cycles} cycles"
        if inhibit:
            assert cycles == 2, f"{what}: {cycles} cycles"
