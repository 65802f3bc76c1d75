"""A top for testing a core, with DRAM, and what a cocotb testbench drives it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cocotb
import numpy as np
from amaranth import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from numpy.typing import NDArray

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.core.axi_lite import AxiLite
from backspike.hw.core.core import CORE_ID_BITS, Core
from backspike.hw.core.map import START_EMPTY, START_ZERO
from backspike.hw.dma.axi import ADDRESS_BITS as DRAM_BITS
from backspike.hw.isa.table import UNITS
from backspike.sim.harness.access import RECORDS, CoreMemories, CoreRegisters, activity
from backspike.sim.harness.bench import STALL_BITS
from backspike.sim.harness.dram import LATENCY_BITS, SPREAD_BITS, Dram
from backspike.sim.harness.driver import PERIOD_NS, backdoor
from backspike.sim.harness.host import Host
from backspike.sim.harness.noise import SEED_BITS
from backspike.sim.harness.recorder import Recorder
from backspike.sim.model.machine.controller import Outcome

__all__ = ["CoreBench", "CoreDriver"]


class CoreBench(EmitOnce):
    """A core with its DRAM; its host and the DRAM's latency and stalls are ports.

    Parameters
    ----------
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM.
    """

    config = Parameter[ChipConfig]()

    def __init__(self, config: ChipConfig, *, dram_bytes: int):
        self.dram_words = dram_bytes * 8 // config.dram.bus_bits
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "host": In(AxiLite()),
                "irq": Out(1),
                "latency": In(LATENCY_BITS),
                "spread": In(SPREAD_BITS),
                "stall": In(STALL_BITS),
                "seed": In(SEED_BITS),
                "limit": In(DRAM_BITS),
                "record": In(1),
                "recorded": Out(ceil_log2(RECORDS) + 1),
            },
            config=config,
            dram_words=self.dram_words,
        )

    @property
    def setting(self) -> dict[str, Any]:
        """What another one like it is made with."""
        dram_bytes = self.dram_words * self.config.dram.bus_bits // 8
        return {"config": self.config, "dram_bytes": dram_bytes}

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return f"Core-{self.config.name}"

    @property
    def blocks(self) -> tuple[str, ...]:
        """The core: whatever else there is, it is Verilated once."""
        return ("core",)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # As in EngineBench: what everything depends on comes from a register.
        m.domains.sync = ClockDomain()
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(self.rst)
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(reset)]
        m.submodules.core = core = Core.from_config(self.config)
        m.submodules.dram = dram = Dram(
            words=self.dram_words, data_bits=self.config.dram.bus_bits, id_bits=CORE_ID_BITS
        )
        connect(m, flipped(self.host), core.host)
        connect(m, core.dram, dram.bus)
        m.d.comb += [
            self.irq.eq(core.irq),
            dram.latency.eq(self.latency),
            dram.spread.eq(self.spread),
            dram.stall.eq(self.stall),
            dram.seed.eq(self.seed),
            dram.limit.eq(self.limit),
        ]
        m.submodules.recorder = recorder = Recorder(width=len(core.working), depth=RECORDS)
        m.d.comb += [
            recorder.watch.eq(core.working),
            recorder.run.eq(self.record),
            self.recorded.eq(recorder.count),
        ]
        return m


class CoreDriver:
    """Fills and reads the memories of a core behind its back, and is its host.

    Python runs only while registers are read and written: the clock is in the simulator.

    Parameters
    ----------
    dut
        cocotb's handle of the bench.
    bench : CoreBench
        What it was made from.
    """

    def __init__(self, dut: Any, bench: CoreBench):
        self._dut = dut
        self._ticks = False
        self._host = Host(dut)
        self._registers = CoreRegisters(bench.config, self._host)
        self._memories = CoreMemories(bench.config, "bench.core")
        bus_bytes = bench.config.dram.bus_bits // 8
        self._records = backdoor("bench.recorder", RECORDS, 64).view(np.uint64)[:, 0]
        self.dram = backdoor("bench.dram", bench.dram_words, 8 * bus_bytes).reshape(-1)
        self.load = self._memories.load
        self.memories = self._memories.read
        self.write, self.read = self._registers.write, self._registers.read
        self.counters = self._registers.counters

    async def reset(
        self,
        *,
        latency: int = 8,
        spread: int = 0,
        stall: int = 0,
        seed: int = 1,
        limit: int | None = None,
    ) -> None:
        """Resets the bench, and starts its clock if need be.

        DRAM answers with errors from the address ``limit`` on.
        """
        dut = self._dut
        dut.record.value = 0
        self._host.idle()
        dut.latency.value, dut.spread.value = latency, spread
        dut.stall.value, dut.seed.value = stall, seed
        dut.limit.value = len(self.dram) if limit is None else limit
        dut.rst.value = 1
        if not self._ticks:
            Clock(dut.clk, PERIOD_NS, unit="ns", impl="gpi").start()
            self._ticks = True
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    async def run(
        self, programs: Mapping[str, int], *, timeout: int = 1 << 20, limit: int = 50_000_000
    ) -> tuple[dict[str, Outcome], int]:
        """Runs programs that lie at these addresses in DRAM, by sub-core, to their ends.

        Returns what has become of each, and the cycles that it took.

        Raises
        ------
        TimeoutError
            If they are not over after ``limit`` cycles.
        """
        dut = self._dut
        for subcore, address in programs.items():
            await self.write(f"{subcore}_program", address)
        await self.write("timeout", timeout)
        bits = {subcore: 1 << list(UNITS).index(subcore) for subcore in programs}
        await self.write("enable", 0)
        await self.write("interrupt", 3)
        dut.record.value = 0
        await self.write("start", sum(bits.values()) | START_EMPTY | START_ZERO)
        dut.record.value = 1
        begin = cocotb.simtime.get_sim_time("ns")
        for bit in bits.values():
            await self.write("enable", bit)
            if not int(dut.irq.value):
                await First(RisingEdge(dut.irq), Timer(limit * PERIOD_NS, unit="ns"))
            if not int(dut.irq.value):
                raise TimeoutError(f"the core is not done after {limit} cycles")
            await FallingEdge(dut.clk)
        cycles = int((cocotb.simtime.get_sim_time("ns") - begin) / PERIOD_NS)
        return {subcore: await self._registers.outcome(subcore) for subcore in programs}, cycles

    def activity(self) -> dict[str, NDArray[np.int64]]:
        """When units were at work in the last :meth:`run`: :func:`.activity`."""
        return activity(self._records, int(self._dut.recorded.value))
