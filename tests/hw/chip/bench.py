"""The chip under test and its model: both are given the same, and must leave the same behind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from backspike.compiler.assembling.program import Program
from backspike.hw.core.connection import Connection, Place
from backspike.hw.isa.table import UNITS
from backspike.hw.presets import load
from backspike.sim.harness.chip import ChipBench
from backspike.sim.harness.mesh import LEAST_DRAM
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.machine.controller import Outcome
from tests.hw.core.scene import PROGRAM_BYTES, finite
from tests.hw.core.under_test import UnderTest

__all__ = ["CHIPS", "DRAM_BYTES", "SEED", "Bench", "chip_bench"]

DRAM_BYTES = 1 << 17
"""Of each core, that programs see: there is more, so that all tests have the same benches."""
SEED = 9173

CHIPS: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "square": (("mesh.columns=2", "mesh.rows=2"), (1, 1)),
    "joined": (("mesh.columns=2", "mesh.rows=2", "noc.link_credits=16"), (2, 1)),
    "joined-four": (("mesh.columns=2", "mesh.rows=1", "noc.link_credits=16"), (2, 2)),
    "shared": (("mesh.columns=2", "mesh.rows=2", "dram.shared=1"), (1, 1)),
}
"""Settings of each chip beside those of tiny, and how many are joined."""


def chip_bench(name: str) -> ChipBench:
    """The bench of one of :data:`CHIPS`."""
    settings, chips = CHIPS[name]
    config = load("tiny", [*settings, f"name={name}"])
    return ChipBench(config, dram_bytes=LEAST_DRAM, chips=chips)


class Bench(UnderTest):
    """The chip under test, and all that its cores are given.

    Parameters
    ----------
    dut
        cocotb's handle.
    number : int
        Of the test: each has a seed of its own, which is printed.
    """

    def __init__(self, dut: Any, number: int):
        bench = chip_bench(os.environ["CHIP"])
        super().__init__(dut, bench, SEED + number)
        self.places: list[Place] = list(bench.sites)
        self.dut = dut
        self._model: ChipModel

    @classmethod
    async def started(cls, dut: Any, number: int, **reset: int) -> Bench:
        """A bench out of reset."""
        return await cls(dut, number).reset(**reset)

    def change_conditions(self, *, calm: bool) -> None:
        """How long DRAM and links between chips take: little, or anything."""
        slow = {"latency": 100, "spread": 256, "stall": 120, "delay": 60, "delay_stall": 120}
        quick = {"latency": 2, "spread": 0, "stall": 0, "delay": 4, "delay_stall": 0}
        for name, most in slow.items():
            value = quick[name] if calm else int(self.random.integers(2, most))
            getattr(self.dut, name).value = value

    @property
    def subcores(self) -> list[tuple[Place, str]]:
        """All of them."""
        return [(place, name) for place in self.places for name in UNITS]

    async def run(
        self,
        programs: Mapping[tuple[Place, str], Program],
        connections: Mapping[tuple[Place, str], Mapping[int, Connection]],
        what: object,
        *,
        timeout: int = 1 << 20,
        by_host: bool = False,
        empty: bool = True,
    ) -> dict[Place, dict[str, Outcome]]:
        """Runs programs on memories full of numbers, and compares all that is left behind.

        Programs come to DRAM by the back door, or ``by_host``: the same for several cores once.
        Boxes are ``empty`` in front, or hold what the run before has left in them.
        """
        addresses: dict[Place, dict[str, int]] = {place: {} for place in self.places}
        drams, tables = {}, {}
        for place in self.places:
            drams[place] = self.random.integers(0, 256, DRAM_BYTES, dtype=np.uint8)
            tables[place] = {name: connections.get((place, name), {}) for name in UNITS}
        if by_host:
            for dram in drams.values():
                dram[: len(UNITS) * PROGRAM_BYTES] = 0
        before = {place: dram.copy() for place, dram in drams.items()}
        for (place, name), program in programs.items():
            at = addresses[place][name] = list(UNITS).index(name) * PROGRAM_BYTES
            raw = np.array(program.words, "<u4").view(np.uint8)
            assert len(raw) <= PROGRAM_BYTES
            drams[place][at : at + len(raw)] = raw
        model = ChipModel(self.config, drams, connections=tables)
        for place, core in model.cores.items():
            for name, words in core.memories.raw.items():
                words[:] = finite(self.random, self.config, name, words)
            self.driver.memories[place].load(core.memories)
            dram = before[place] if by_host else drams[place]
            self.driver.drams[place][: len(dram)] = dram
            if not empty:
                core.subcores = self._model.cores[place].subcores
        self._model = model
        outcomes = model.run(addresses, empty=empty)
        await self.driver.connect(tables)
        if by_host:
            await self._store(programs)
        found, cycles = await self.driver.run(addresses, timeout=timeout, empty=empty)
        self.cycles += cycles
        assert found == outcomes, f"{what}: {found} instead of {outcomes}"
        for place, core in model.cores.items():
            self.compare(place, core.memories, core.dram, what)
        return found

    async def _store(self, programs: Mapping[tuple[Place, str], Program]) -> None:
        """Writes programs through the host's port."""
        for at, subcore in enumerate(UNITS):
            by_words: dict[tuple[int, ...], list[Place]] = {}
            for (place, name), program in programs.items():
                if name == subcore:
                    by_words.setdefault(tuple(program.words), []).append(place)
            for words, places in by_words.items():
                await self.driver.store(places, at * PROGRAM_BYTES, words)
