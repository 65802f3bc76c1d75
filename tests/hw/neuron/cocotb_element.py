"""Soma and grad engines against the model: the whole of every memory, statuses, and counters."""

from __future__ import annotations

import itertools

import cocotb
import numpy as np

from backspike.sim.harness.driver import EngineDriver
from tests.hw.launch import bench_settings
from tests.hw.neuron.settings import MEMORIES
from tests.sim.model.machine.elements import (
    Pass,
    Scene,
    areas,
    grad_step,
    kinds,
    soma_step,
    vector_pass,
)

MOST_OVERHEAD = 60
"""Cycles of a pass without stalls beyond one a part of a pixel: filling and draining."""


class Bench:
    """The engine and its memories."""

    def __init__(self, dut):
        self.settings = settings = bench_settings()
        self.random = np.random.default_rng(settings.seed)
        self.dut = dut
        self.config = settings.config
        self.memories = MEMORIES[settings.name]
        self.driver = EngineDriver(dut, settings.engine(), settings.depths)

    def areas(self):
        """Maps that have a window at least: others are the instruction's to refuse or to change."""
        found = areas(self.random, self.settings.lanes)
        return [area for area in found if min(area.h_size, area.w_size) >= area.pooling]

    def scene(self, area, *, wild: bool) -> Scene:
        """A case."""
        products = self.settings.name == "grad"
        return Scene(self.random, self.config, area, products=products, wild=wild)

    async def run(self, scene: Scene, made: Pass) -> None:
        """Runs a pass, and compares memories, statuses and counters."""
        for memory, sram in self.memories.items():
            self.driver.load(memory, scene.memories.raw[sram])
        self.dut.stall.value = stall = int(self.random.choice([0, 0, 40, 150]))
        cycles = await self.driver.run(made.command, limit=100_000)
        what = f"{made.what} {stall=}"
        for memory, sram in self.memories.items():
            words = scene.memories.raw[sram]
            words[:] = self.driver.fetch(memory, 0, len(words), np.uint8)[:, : words.shape[1]]
        wrong = scene.memories.differences(made.expected)
        assert not wrong, f"{what}: {len(wrong)} words are wrong, first {wrong[0]}"
        raised, status = self.driver.statuses, scene.status
        expected = {"overflow": status.overflow, "invalid": status.invalid}
        assert raised == expected, f"{what}: statuses {raised} are not {expected}"
        self._check_counters(scene, made, what, cycles, stall)

    def _check_counters(self, scene: Scene, made: Pass, what: str, cycles: int, stall: int):
        counters, area = self.driver.counters(), scene.area
        assert counters["busy"] == scene.steps, f"{what}: {counters}"
        elements = area.samples * area.h_size * area.w_size * area.m_size
        assert counters["lanes"] == elements, f"{what}: {counters}"
        assert counters["busy"] + counters["stalled"] == cycles - 1, f"{what}: {cycles} {counters}"
        if not stall:
            least = max(scene.steps, *made.accesses.values())
            assert cycles <= least + MOST_OVERHEAD, f"{what}: {cycles} cycles"
        names = {sram: memory for memory, sram in self.memories.items()}
        for access, count in made.accesses.items():
            sram, _, kind = access.rpartition("_")
            assert counters[f"{names[sram]}_{kind}"] == count, f"{what}: {access} {counters}"


@cocotb.test()
async def step_equals_model(dut):
    bench = Bench(dut)
    await bench.driver.reset()
    step = {"soma": soma_step, "grad": grad_step}[bench.settings.name]
    flags = itertools.product((False, True), repeat=2)
    if bench.settings.brief:
        cases = list(zip(bench.areas(), itertools.cycle(flags), strict=False))
    else:
        cases = list(itertools.product(bench.areas(), flags))
    for area, (t_acc, wild) in cases:
        scene = bench.scene(area, wild=wild)
        await bench.run(scene, step(scene, t_acc))
    dut._log.info(f"{len(cases)} steps")


@cocotb.test()
async def vector_operations_equal_model(dut):
    bench = Bench(dut)
    await bench.driver.reset()
    name = bench.settings.name
    chosen = list(kinds(name))
    if bench.settings.brief:
        chosen = [chosen[i] for i in bench.random.permutation(len(chosen))[:40]]
    geometries = [area for area in bench.areas() if area.pooling == 1]
    for number, kind in enumerate(chosen):
        area = geometries[bench.random.integers(len(geometries))]
        scene = bench.scene(area, wild=number % 3 == 2)
        # Half of what can be done in place is: that is how results are accumulated.
        await bench.run(scene, vector_pass(scene, name, kind, in_place=number % 2 == 1))
    dut._log.info(f"{len(chosen)} vector operations")
