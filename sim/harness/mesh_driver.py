"""What a cocotb testbench drives cores with: those of a :class:`.mesh.MeshBench`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer
from numpy.typing import NDArray

from backspike.hw.core.connection import Place
from backspike.sim.harness.access import RECORDS, CoreMemories, CoreRegisters, activity
from backspike.sim.harness.chip import ChipBench
from backspike.sim.harness.driver import backdoor
from backspike.sim.harness.host import Host
from backspike.sim.harness.mesh import MeshBench
from backspike.sim.harness.starter import PERIOD_PS, ChipStarter, CoreStarter, Programs, Starter
from backspike.sim.model.machine.controller import Outcome
from backspike.sim.model.machine.core import Connections

__all__ = ["MeshDriver"]


class MeshDriver:
    """Fills and reads the memories of all cores behind their backs, and is their host.

    Python runs only while registers are read and written: the clocks are in the simulator.

    Parameters
    ----------
    dut
        cocotb's handle of the bench.
    bench : MeshBench
        What it was made from.

    Attributes
    ----------
    registers, memories : dict of place to CoreRegisters, CoreMemories
    drams : dict of place to uint8 array
        From the origin of the core on: its own part, if the cores of a chip share a DRAM.
    """

    def __init__(self, dut: Any, bench: MeshBench):
        self._dut, self._bench = dut, bench
        self._host = Host(dut)
        chips = isinstance(bench, ChipBench)
        self._starter: Starter = (
            ChipStarter(dut, self._host, bench) if chips else CoreStarter(dut, self._host)
        )
        self._networks = chips
        self._ticks = False
        self._noc_clock: Clock | None = None
        self._noc_period_ps = 0
        config = bench.config
        self.registers: dict[Place, CoreRegisters] = {}
        self.memories: dict[Place, CoreMemories] = {}
        self.drams: dict[Place, NDArray[np.uint8]] = {}
        self._records: dict[Place, NDArray[np.uint64]] = {}
        for place, site in bench.sites.items():
            self.registers[place] = CoreRegisters(config, self._host, site.window)
            self.memories[place] = CoreMemories(config, site.scope)
            dram = backdoor(site.dram, bench.dram_words, config.dram.bus_bits).reshape(-1)
            self.drams[place] = dram[site.origin :][: bench.core_dram_bytes]
            records = backdoor(site.recorder, RECORDS, 64)
            self._records[place] = records.view(np.uint64)[:, 0]

    async def reset(
        self,
        *,
        latency: int = 8,
        spread: int = 0,
        stall: int = 0,
        limit: int | None = None,
        delay: int = 2,
        delay_stall: int = 0,
        seed: int = 1,
        noc_period_ps: int = 1500,
    ) -> None:
        """Resets the bench, and starts its clocks if need be.

        DRAM answers with errors from the address ``limit`` on; links between chips take ``delay``
        cycles; ``noc_period_ps`` is that of the networks' clock, where a core's takes 2000. A core
        alone has no use of the last three.
        """
        dut = self._dut
        dut.record.value = 0
        self._host.idle()
        dut.latency.value, dut.spread.value = latency, spread
        dut.stall.value, dut.seed.value = stall, seed
        dram_bytes = self._bench.dram_words * self._bench.config.dram.bus_bits // 8
        dut.limit.value = dram_bytes if limit is None else limit
        dut.rst.value = 1
        if not self._ticks:
            Clock(dut.clk, PERIOD_PS, unit="ps", impl="gpi").start()
            self._ticks = True
        if self._networks:
            dut.delay.value, dut.delay_stall.value = delay, delay_stall
            self._tick_networks(noc_period_ps)
        # Several cycles of either clock.
        await Timer(8 * max(PERIOD_PS, noc_period_ps), unit="ps")
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        for _ in range(2):
            await FallingEdge(dut.clk)
        for place, site in self._bench.sites.items():
            await self.registers[place].write("origin_low", site.origin)

    def _tick_networks(self, period_ps: int) -> None:
        if self._noc_clock is not None:
            if self._noc_period_ps == period_ps:
                return
            self._noc_clock.stop()
        high = period_ps // 2  # of a period that may be odd
        self._noc_clock = Clock(
            self._dut.noc_clk, period_ps, period_high=high, unit="ps", impl="gpi"
        )
        self._noc_clock.start()
        self._noc_period_ps = period_ps

    async def connect(self, connections: Mapping[Place, Connections]) -> None:
        """Gives the tags of all sub-cores their connections."""
        for place, subcores in connections.items():
            for own, tags in subcores.items():
                for tag, connection in tags.items():
                    await self.registers[place].write("connect", connection.word(tag, own))

    async def store(self, places: Collection[Place], address: int, words: Iterable[int]) -> None:
        """Writes words of 32 bits to DRAM of all these cores, each from its origin on, by the host.

        What cores of a chip are given costs no more than what one of them is.
        """
        await self._starter.write_all(places, "memory_address", [address])
        await self._starter.write_all(places, "memory_data", words)

    async def run(
        self,
        programs: Programs,
        *,
        timeout: int = 1 << 20,
        limit: int = 50_000_000,
        empty: bool = True,
    ) -> tuple[dict[Place, dict[str, Outcome]], int]:
        """Runs programs that lie at these addresses in the cores' DRAMs, to their ends.

        All sub-cores of a core start in the same cycle, with ``empty`` message boxes or with what
        is in them. Returns what has become of each program, and the cycles that it took.

        Raises
        ------
        TimeoutError
            If they are not over after ``limit`` cycles.
        """
        for place, registers in self.registers.items():
            for subcore, address in programs.get(place, {}).items():
                await registers.write(f"{subcore}_program", address)
            await registers.write("timeout", timeout)
        self._dut.record.value = 0
        await self._starter.start(programs, empty=empty)
        await self._starter.end(limit)
        ended = round(cocotb.simtime.get_sim_time("ps"))
        outcomes = {
            place: {subcore: await self.registers[place].outcome(subcore) for subcore in subcores}
            for place, subcores in programs.items()
        }
        return outcomes, (ended - self._starter.begun) // PERIOD_PS

    def activity(self) -> dict[Place, dict[str, NDArray[np.int64]]]:
        """When units of each core were at work in the last :meth:`run`."""
        return {
            place: activity(self._records[place], int(getattr(self._dut, site.recorded).value))
            for place, site in self._bench.sites.items()
        }
