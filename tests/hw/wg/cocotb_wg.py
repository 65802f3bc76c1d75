"""WG engine against the model: without it a wrong gradient of any shape would go unnoticed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cocotb
import numpy as np

from hw.arith.format import FP16, Float
from hw.conv.lowering import ConvLayer
from hw.wg.engine import WgEngine
from sim.harness.driver import EngineDriver
from sim.model import Status
from tests.hw.conv.cases import case_layer, random_values
from tests.hw.wg.cases import DEPTHS, WgCase, tile_dw

SETTINGS = json.loads(os.environ.get("BENCH_SETTINGS", "{}"))


def bench_engine() -> WgEngine:
    """The engine that the launching test has made the bench from."""
    return WgEngine(
        format=Float(*SETTINGS["format"]),
        lanes=SETTINGS["lanes"],
        pixels=SETTINGS["pixels"],
        dw_lanes=SETTINGS["dw_lanes"],
    )


def random_old(random, shape, *, special):
    """binary32 values, some zero; of large magnitude, NaN or infinite where ``special``."""
    values = np.exp2(random.uniform(-30, 20, shape)) * random.choice([-1.0, 1.0, 0.0, -0.0], shape)
    odd = random.choice([np.nan, np.inf, -np.inf, 3.4e38, 1e-40], shape)
    return np.where(random.random(shape) < special, odd, values).astype(np.float32)


def random_case(random, index, lanes, pixels, format) -> WgCase:
    """A case of any shape that fits the bench; kinds take turns so that pairs of them come up."""
    size = case_layer(random, index, lanes)
    layer = size.layer
    if index % 10 == 9:
        # Fully connected: one row of samples x steps pixels.
        layer = ConvLayer(h=1, w=int(random.integers(1, 60)), c_tiles=3, m_tiles=2)
    direct = index % 4 == 2
    sparsity = (0.0, 0.5, 0.9, 0.99, 1.0)[index % 5]
    spikes = random.random(
        (layer.samples, 1 if direct else layer.steps, layer.h, layer.w, layer.c_tiles * lanes)
    )
    spikes = spikes >= sparsity
    spikes[..., min(size.channels_in, spikes.shape[-1]) :] = False
    channels = layer.m_tiles * lanes
    du = random_values(
        random,
        (layer.samples, layer.steps, layer.e, layer.f, channels),
        format,
        sparsity=0.2,
        special=0.01 if index % 6 == 5 else 0.0,
        large=True,
    )
    du[..., min(size.channels_out, channels) :] = 0.0
    old = None
    if index % 3 == 1:
        shape = (channels, spikes.shape[-1], *layer.kernel)
        old = random_old(random, shape, special=0.02 if index % 2 else 0.0)
    return WgCase(
        layer=layer,
        lanes=lanes,
        pixels=pixels,
        format=format,
        spikes=spikes,
        du=du,
        old=old,
        plane=int(random.integers(0, 16)) if index % 2 else 0,
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


async def check(driver: EngineDriver, case: WgCase, guard: np.ndarray, where: str) -> dict:
    """Runs a case with and without skipping; returns counters and cycles of the skipping run."""
    status = Status()
    expected = case.expected(status)
    want = guard.copy()
    want[case.bases[2] : case.bases[2] + len(expected)] = expected
    runs = {}
    for skip in (False, True):
        load(driver, case, guard)
        cycles = await driver.run(case.fields(skip=skip))
        got = driver.fetch("dw", 0, len(guard), np.uint32)
        wrong = np.argwhere(got != want)
        assert not len(wrong), (
            f"{where} skip {skip}: {len(wrong)} of {expected.size} differ, first at {wrong[0]}: "
            f"{got[tuple(wrong[0])]:08x} for {want[tuple(wrong[0])]:08x}"
        )
        statuses = {"overflow": status.overflow, "invalid": status.invalid}
        assert driver.statuses == statuses, f"{where} skip {skip}: {driver.statuses}"
        counters = driver.counters()
        for name, value in case.counts(skip=skip).items():
            assert counters[name] == value, f"{where} skip {skip}: {name} {counters} for {value}"
        assert abs(counters["busy"] + counters["stalled"] - cycles) <= 1, (counters, cycles)
        runs["skip" if skip else "dense"] = {**counters, "cycles": cycles}
    return runs


@cocotb.test()
async def engine_equals_model(dut):
    lanes, pixels, seed = SETTINGS["lanes"], SETTINGS["pixels"], SETTINGS["seed"]
    random = np.random.default_rng(seed)
    driver = EngineDriver(dut, bench_engine(), DEPTHS)
    await driver.reset()
    for index in range(SETTINGS["cases"]):
        case = random_case(random, index, lanes, pixels, Float(*SETTINGS["format"]))
        guard = random.integers(0, 1 << 32, (DEPTHS["dw"], lanes), dtype=np.uint32)
        dut.stall.value = (0, 0, 100, 200)[index // 2 % 4]
        await check(driver, case, guard, f"case {index} seed {seed} {case.layer}")


@cocotb.test()
async def figures(dut):
    """3x3, 64 -> 64, 32 x 32, one step at several sparsities: the cycles that are promised."""
    lanes, pixels = SETTINGS["lanes"], SETTINGS["pixels"]
    random = np.random.default_rng(SETTINGS["seed"])
    driver = EngineDriver(dut, bench_engine(), DEPTHS)
    await driver.reset()
    layer = ConvLayer(
        h=32, w=32, kernel=(3, 3), padding=(1, 1, 1, 1), c_tiles=64 // lanes, m_tiles=64 // lanes
    )
    results = {}
    for sparsity in SETTINGS["sparsities"]:
        case = WgCase(
            layer=layer,
            lanes=lanes,
            pixels=pixels,
            format=FP16,
            spikes=random.random((1, 1, 32, 32, 64)) >= sparsity,
            du=random_values(random, (1, 1, 32, 32, 64), FP16),
        )
        guard = random.integers(0, 1 << 32, (DEPTHS["dw"], lanes), dtype=np.uint32)
        runs = await check(driver, case, guard, f"sparsity {sparsity}")
        dense, skip = runs["dense"], runs["skip"]
        results[sparsity] = {
            "dense_busy_share": dense["busy"] / dense["cycles"],
            "cycles_per_vector": skip["cycles"] / skip["busy"],
            "cycles": skip["cycles"],
        }
    Path(SETTINGS["results"]).write_text(json.dumps(results))
