"""What a host does to start programs, and to learn of their ends: at a core alone, and at chips."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from backspike.hw.chip.map import ALL, CHIP_REGISTERS
from backspike.hw.core.axi_lite import HOST_ADDRESS_BITS
from backspike.hw.core.connection import LONE_CORE, Place
from backspike.hw.core.map import REGISTERS, START_EMPTY, START_ZERO
from backspike.hw.isa.table import UNITS
from backspike.sim.harness.chip import ChipBench
from backspike.sim.harness.host import Host

__all__ = ["PERIOD_PS", "ChipStarter", "CoreStarter", "Programs", "Starter"]

PERIOD_PS = 2000
"""Of the clock of the cores."""
CORE_ADDRESSES = {register.name: register.address for register in REGISTERS}
CHIP_ADDRESSES = {register.name: register.address for register in CHIP_REGISTERS}
BITS = {subcore: 1 << number for number, subcore in enumerate(UNITS)}
"""Of ``start`` and ``interrupt`` of a core."""

Programs = Mapping[Place, Mapping[str, int]]
"""Where programs lie in the DRAM of each core, by sub-core."""


class Starter:
    """The part of a driver that depends on whose registers the host has in front of it.

    Parameters
    ----------
    dut
        cocotb's handle of the bench.
    host : Host

    Attributes
    ----------
    begun : int
        When the programs started, in picoseconds.
    """

    def __init__(self, dut: Any, host: Host):
        self._dut, self._host = dut, host
        self.begun = 0

    async def start(self, programs: Programs, *, empty: bool) -> None:
        """Starts them, with ``empty`` message boxes or with what is in them."""
        raise NotImplementedError

    async def end(self, limit: int) -> None:
        """Waits until all that were started have ended.

        Raises
        ------
        TimeoutError
            If they are not over after ``limit`` cycles.
        """
        raise NotImplementedError

    async def write_all(self, places: Collection[Place], name: str, words: Iterable[int]) -> None:
        """Writes words, one behind the other, to a register of all these cores at once."""
        raise NotImplementedError

    def _begin(self) -> None:
        self._dut.record.value = 1
        self.begun = round(cocotb.simtime.get_sim_time("ps"))

    async def _interrupt(self, irq: Any, limit: int) -> None:
        if not int(irq.value):
            await First(RisingEdge(irq), Timer(limit * PERIOD_PS, unit="ps"))
        if not int(irq.value):
            raise TimeoutError(f"programs are not done after {limit} cycles")
        await FallingEdge(self._dut.clk)


class CoreStarter(Starter):
    """A core alone: it tells of the end of each program."""

    _running: Collection[int] = ()

    async def start(self, programs: Programs, *, empty: bool) -> None:
        self._running = [BITS[subcore] for subcore in programs[LONE_CORE]]
        await self._write("enable", 0)
        await self._write("interrupt", sum(BITS.values()))
        await self._write("start", sum(self._running) | START_EMPTY * empty | START_ZERO)
        self._begin()

    async def end(self, limit: int) -> None:
        for bit in self._running:
            await self._write("enable", bit)
            await self._interrupt(self._dut.irq, limit)

    async def write_all(self, places: Collection[Place], name: str, words: Iterable[int]) -> None:
        for word in words:
            await self._write(name, word)

    async def _write(self, name: str, word: int) -> None:
        await self._host.write(CORE_ADDRESSES[name], word)


class ChipStarter(Starter):
    """Chips: each tells when all programs of its cores have ended.

    Parameters
    ----------
    bench : ChipBench
    """

    def __init__(self, dut: Any, host: Host, bench: ChipBench):
        super().__init__(dut, host)
        self._bench = bench

    async def start(self, programs: Programs, *, empty: bool) -> None:
        for chip in range(self._bench.count):
            await self._host.write(self._bench.window(chip) + CHIP_ADDRESSES["enable"], 1)
        zero = START_EMPTY * empty | START_ZERO
        await self.write_all(self._bench.sites.keys(), "start", [zero])
        self._begin()
        alike: dict[int, list[Place]] = {}
        for place, subcores in programs.items():
            alike.setdefault(sum(BITS[subcore] for subcore in subcores), []).append(place)
        # Cores of a chip that run the same sub-cores start together.
        for bits, places in sorted(alike.items()):
            if bits:
                await self.write_all(places, "start", [bits])

    async def end(self, limit: int) -> None:
        for chip in range(self._bench.count):
            window = self._bench.window(chip)
            while True:
                # In this order: what ends from here on raises the interrupt.
                await self._host.write(window + CHIP_ADDRESSES["interrupt"], 1)
                if not await self._masks(window, "running"):
                    break
                await self._interrupt(getattr(self._dut, f"irq__{chip}"), limit)

    async def write_all(self, places: Collection[Place], name: str, words: Iterable[int]) -> None:
        sites = [self._bench.sites[place] for place in places]
        words = list(words)
        for chip in sorted({site.chip for site in sites}):
            window = self._bench.window(chip)
            cores = sum(1 << site.number for site in sites if site.chip == chip)
            await self._masks(window, "select", cores)
            for word in words:
                await self._host.write(
                    window + (ALL << HOST_ADDRESS_BITS) + CORE_ADDRESSES[name], word
                )

    async def _masks(self, window: int, name: str, value: int | None = None) -> int:
        """Reads a register with a bit for each core, or writes it first."""
        first = window + CHIP_ADDRESSES[name]
        found = 0
        for word in range(-(-self._bench.config.mesh.cores // 32)):
            if value is not None:
                await self._host.write(first + 4 * word, value >> 32 * word & 0xFFFF_FFFF)
            found |= await self._host.read(first + 4 * word) << 32 * word
        return found
