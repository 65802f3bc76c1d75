"""What is under test and its model: both are given the same, and must leave the same behind."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from backspike.compiler.assembling.program import Program
from backspike.hw.core.connection import Place
from backspike.hw.isa.table import IsaShape
from backspike.sim.harness.mesh import MeshBench
from backspike.sim.harness.mesh_driver import MeshDriver
from backspike.sim.model.machine.memories import Bytes, Memories

__all__ = ["UnderTest"]


class UnderTest:
    """A core or chip in its bench.

    Parameters
    ----------
    dut
        cocotb's handle.
    bench : MeshBench
        What it was made from.
    seed : int
        It is printed.
    """

    def __init__(self, dut: Any, bench: MeshBench, seed: int):
        print(f"seed {seed}")
        self.random = np.random.default_rng(seed)
        self.config = bench.config
        self.driver = MeshDriver(dut, bench)
        self.cycles = 0

    async def reset(self, **settings: int) -> Self:
        """Resets it, with settings of :meth:`MeshDriver.reset`; returns it."""
        await self.driver.reset(**settings)
        return self

    def program(self, subcore: str) -> Program:
        """An empty program."""
        return Program(IsaShape.from_config(self.config), subcore)

    def compare(self, place: Place, memories: Memories, dram: Bytes, what: object) -> None:
        """Fails unless SRAMs and DRAM of a core hold what they should."""
        wrong = self.driver.memories[place].read().differences(memories)
        text = "\n".join(map(str, wrong[:8]))
        assert not wrong, f"{what}, core {place}: {text}\n{len(wrong)} words"
        differ = np.flatnonzero(self.driver.drams[place][: len(dram)] != dram)
        assert not len(differ), f"{what}: DRAM of {place} differs at {differ[:8]} of {len(differ)}"
