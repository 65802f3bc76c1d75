"""The core under test and its model: both are given the same, and must leave the same behind."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.assembling.program import Program
from backspike.hw.core.connection import LONE_CORE
from backspike.sim.harness.core import CoreBench
from backspike.sim.harness.mesh import LEAST_DRAM
from backspike.sim.model.machine.controller import Outcome
from tests.hw.core.chips import CHIPS
from tests.hw.core.draw import Draw
from tests.hw.core.scene import PROGRAM_BYTES, Expected, Scene, serial_program
from tests.hw.core.under_test import UnderTest

__all__ = ["DATA", "DRAM_BYTES", "SEED", "Bench"]

DRAM_BYTES = 1 << 19
"""Addresses beyond are refused: random programs and contents are small."""
DATA = {"fp": (1 << 16, 1 << 17), "bp": (1 << 17, 1 << 18)}
"""Where in DRAM the programs of each sub-core find and put their data."""
SEED = 5301


class Bench(UnderTest):
    """The core under test; draws programs and runs them on it.

    Parameters
    ----------
    dut
        cocotb's handle.
    number : int
        Of the test: each has a seed of its own, which is printed.
    """

    def __init__(self, dut: Any, number: int):
        config = CHIPS[os.environ["CORE_CHIP"]]
        super().__init__(dut, CoreBench(config, dram_bytes=LEAST_DRAM), SEED + number)

    @classmethod
    async def started(cls, dut: Any, number: int, *, limit: int = DRAM_BYTES) -> Bench:
        """A bench out of reset; nothing is behind ``limit`` in DRAM."""
        return await cls(dut, number).reset(limit=limit)

    @property
    def cases(self) -> int:
        """How many a test is to run."""
        cases = int(os.environ["CORE_CASES"])
        assert cases > 0
        return cases

    def serial(self, subcore: str, mnemonics: list[str]) -> Program:
        """Such instructions, each behind the one in front of it."""
        return serial_program(self.random, self.config, subcore, mnemonics, dram=DATA[subcore])

    def draw(self, subcore: str) -> Draw:
        """Draws operands for a sub-core."""
        return Draw(self.random, self.config, dram=DATA[subcore])

    def scene(self, *programs: Program, dram_bytes: int = DRAM_BYTES) -> Scene:
        """Memories full of numbers, and programs."""
        words = {each.subcore: each.words for each in programs}
        return Scene.of(self.random, self.config, dram_bytes, words)

    def units_at_work(self) -> NDArray[np.int64]:
        """How many units were at work in each cycle of the last run."""
        times = self.driver.activity()[LONE_CORE].values()
        starts, ends = np.concatenate(list(times)).T
        size = ends.max(initial=0) + 1
        return np.cumsum(np.bincount(starts, minlength=size) - np.bincount(ends, minlength=size))

    async def run(
        self,
        scene: Scene,
        what: object,
        *,
        timeout: int = 1 << 20,
        settled: bool = True,
        expected: Expected | None = None,
    ) -> dict[str, Outcome]:
        """Runs a scene, and compares all that is left behind; nothing unless it is ``settled``."""
        self.driver.memories[LONE_CORE].load(scene.memories)
        self.driver.drams[LONE_CORE][: len(scene.dram)] = scene.dram
        ended, cycles = await self.driver.run({LONE_CORE: scene.programs}, timeout=timeout)
        found = ended[LONE_CORE]
        self.cycles += cycles
        if settled:
            outcomes, memories, dram = expected or scene.expected()
            assert found == outcomes, f"{what}: {found} instead of {outcomes}"
            self.compare(LONE_CORE, memories, dram, what)
        return found


assert DATA["fp"][0] >= 2 * PROGRAM_BYTES
