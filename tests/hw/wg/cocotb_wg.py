"""WG engine against the model: without it a wrong gradient of any shape would go unnoticed."""

from __future__ import annotations

from collections import Counter

import cocotb
import numpy as np

from backspike.hw.wg.engine import WgEngine
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status
from tests.hw.conv.cases import Case, Seen, draw_case
from tests.hw.launch import bench_settings
from tests.hw.wg.cases import DEPTHS, WgCase, tile_dw


def random_old(random, shape, *, special):
    """binary32 values, some zero; of large magnitude, NaN or infinite where ``special``."""
    values = np.exp2(random.uniform(-30, 20, shape)) * random.choice([-1.0, 1.0, 0.0, -0.0], shape)
    odd = random.choice([np.nan, np.inf, -np.inf, 3.4e38, 1e-40], shape)
    return np.where(random.random(shape) < special, odd, values).astype(np.float32)


def random_case(random, drawn: Case, lanes, pixels, format) -> WgCase:
    """Operands for a case that was drawn, and what only WG has: planes and direct inputs."""
    layer = drawn.layer
    # The spikes of a direct input, or of one of its bit planes, are the same at every step.
    direct = random.random() < 0.4
    plane = int(random.integers(0, 16)) if random.random() < 0.5 else 0
    whole_in, whole_out = layer.c_tiles * lanes, layer.m_tiles * lanes
    steps = 1 if direct else layer.steps
    spikes = random.random((layer.samples, steps, layer.h, layer.w, whole_in)) >= drawn.sparsity
    du_shape = (layer.samples, layer.steps, layer.e, layer.f, whole_out)
    du = drawn.values(random, du_shape, format, sparsity=0.2)
    old = None
    if drawn.acc:
        shape = (whole_out, whole_in, *layer.kernel)
        old = random_old(random, shape, special=drawn.special)
    return WgCase(
        layer=layer,
        lanes=lanes,
        pixels=pixels,
        format=format,
        spikes=spikes,
        du=du,
        m_size=drawn.channels_out,
        c_size=drawn.channels_in,
        old=old,
        plane=plane,
        strips=drawn.strips,
        # Away from 0, so that addresses relative to a base are seen to be.
        bases=tuple(int(base) for base in random.integers(0, 40, 3)),
    )


def load(driver: EngineDriver, case: WgCase, guard: np.ndarray) -> None:
    """Fills the memories; all of dw holds ``guard`` but what is to be added to."""
    spikes, du = case.spike_words, case.du_words
    driver.load("spike", spikes.reshape(-1, spikes.shape[-1]), case.bases[0])
    driver.load("du", du.reshape(-1, case.lanes), case.bases[1])
    driver.load("dw", guard)
    if case.old is not None:
        driver.load("dw", tile_dw(case.old, case.lanes), case.bases[2])


async def check(driver: EngineDriver, case: WgCase, guard: np.ndarray, where: str) -> None:
    """Runs a case with and without skipping."""
    status = Status()
    expected = case.expected(status)
    want = guard.copy()
    want[case.bases[2] : case.bases[2] + len(expected)] = expected
    for skip in (False, True):
        load(driver, case, guard)
        cycles = 0
        statuses: Counter = Counter()
        counters: Counter = Counter()
        for command in case.commands(skip=skip):
            cycles += await driver.run(command)
            statuses.update(driver.statuses)
            counters.update(driver.counters())
        got = driver.fetch("dw", 0, len(guard), np.uint32)
        wrong = np.argwhere(got != want)
        assert not len(wrong), (
            f"{where} skip {skip}: {len(wrong)} of {expected.size} differ, first at {wrong[0]}: "
            f"{got[tuple(wrong[0])]:08x} for {want[tuple(wrong[0])]:08x}"
        )
        for name in ("overflow", "invalid"):
            assert bool(statuses[name]) == getattr(status, name), f"{where} skip {skip}: {name}"
        for name, value in case.counts(skip=skip).items():
            assert counters[name] == value, f"{where} skip {skip}: {name} {counters} for {value}"
        assert abs(counters["busy"] + counters["stalled"] - cycles) <= len(case.parts)


@cocotb.test()
async def engine_equals_model(dut):
    parameters, seed, cases = bench_settings()
    lanes, pixels, format = (parameters[name] for name in ("lanes", "pixels", "format"))
    random = np.random.default_rng(seed)
    driver = EngineDriver(dut, WgEngine(**parameters), DEPTHS)
    await driver.reset()
    seen = Seen()
    for index in range(cases):
        drawn = draw_case(random, index, lanes, rows="e")
        case = random_case(random, drawn, lanes, pixels, format)
        guard = random.integers(0, 1 << 32, (DEPTHS["dw"], lanes), dtype=np.uint32)
        dut.stall.value = drawn.stall
        await check(driver, case, guard, f"case {index} seed {seed} {drawn}")
        seen.add(drawn, direct=case.direct, planes=case.plane > 0)
    seen.check()
