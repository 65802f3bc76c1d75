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

from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.core.core import Core, counter_names
from hw.core.axi_lite import AxiLite
from hw.core.map import REGISTERS, counter_addresses
from hw.core.subcore import SubCore
from hw.dma.axi import ADDRESS_BITS as DRAM_BITS
from hw.instruction import Fault
from hw.isa import SRAMS, UNITS
from sim.harness.bench import STALL_BITS
from sim.harness.dram import LATENCY_BITS, Dram
from sim.harness.driver import PERIOD_NS, backdoor
from sim.harness.recorder import TIME_BITS, Recorder
from sim.model.machine.controller import Outcome
from sim.model.machine.memories import Memories

__all__ = ["CoreBench", "CoreDriver"]

RECORDS = 1 << 17
"""Changes of what is at work that a bench has room for."""


class CoreBench(EmitOnce):
    """A core with its DRAM; its host and the DRAM's latency and stalls are ports.

    Parameters
    ----------
    config : ChipConfig
    dram_bytes : int
        Bytes of DRAM.
    """

    def __init__(self, config: ChipConfig, *, dram_bytes: int):
        self.config = config
        self.dram_words = dram_bytes * 8 // config.dram.bus_bits
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "host": In(AxiLite()),
                "irq": Out(1),
                "latency": In(LATENCY_BITS),
                "stall": In(STALL_BITS),
                "limit": In(DRAM_BITS),
                "record": In(1),
                "recorded": Out(ceil_log2(RECORDS) + 1),
            },
            config=config,
            dram_words=self.dram_words,
        )

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return f"Core-{self.config.name}"

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # As in EngineBench: what everything depends on comes from a register.
        m.domains.sync = ClockDomain()
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(self.rst)
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(reset)]
        m.submodules.core = core = Core.from_config(self.config)
        m.submodules.dram = dram = Dram(
            words=self.dram_words, data_bits=self.config.dram.bus_bits, id_bits=2
        )
        connect(m, flipped(self.host), core.host)
        connect(m, core.dram, dram.bus)
        m.d.comb += [
            self.irq.eq(core.irq),
            dram.latency.eq(self.latency),
            dram.stall.eq(self.stall),
            dram.limit.eq(self.limit),
            dram.run.eq(1),
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
        self._config = bench.config
        self._addresses = {register.name: register.address for register in REGISTERS}
        subcores = [SubCore(config=bench.config, subcore=name) for name in UNITS]
        self._counters = counter_addresses(counter_names(subcores))
        bus_bytes = bench.config.dram.bus_bits // 8
        self._records = backdoor("bench.recorder", RECORDS, 64).view(np.uint64)[:, 0]
        self.dram = backdoor("bench.dram", bench.dram_words, 8 * bus_bytes).reshape(-1)
        self._banks = {
            f"{subcore}.{name}": [
                backdoor(
                    f"bench.core.subcore_{subcore}.sram_{name}.bank_{bank}",
                    size.bank_words,
                    size.width,
                )[:, : size.width // 8]
                for bank in range(size.banks)
            ]
            for subcore in UNITS
            for name in SRAMS[subcore]
            for size in (bench.config.srams[f"{subcore}.{name}"],)
        }

    def load(self, memories: Memories) -> None:
        """Makes the SRAMs hold what ``memories`` hold, and follows them with their maps of bits."""
        for name, banks in self._banks.items():
            for number, bank in enumerate(banks):
                bank[:] = memories.raw[name][number * len(bank) :][: len(bank)]
        self._load_nonzero(memories)

    def _load_nonzero(self, memories: Memories) -> None:
        config = self._config
        codes = memories.words("bp.du_next")
        magnitude = (1 << (config.format.width - 1)) - 1
        bits = (codes & magnitude != 0).any(axis=1).reshape(-1, config.array.spike_pixels)
        rows = backdoor(
            "bench.core.subcore_bp.nonzero", max(2, len(bits)), config.array.spike_pixels
        )
        packed = np.packbits(bits, axis=1, bitorder="little")
        rows[: len(bits), : packed.shape[1]] = packed

    def memories(self) -> Memories:
        """A copy of what the SRAMs hold."""
        found = Memories(self._config)
        for name, banks in self._banks.items():
            for number, bank in enumerate(banks):
                found.raw[name][number * len(bank) :][: len(bank)] = bank
        return found

    async def reset(self, *, latency: int = 8, stall: int = 0, limit: int | None = None) -> None:
        """Resets the bench, and starts its clock if need be.

        DRAM answers with errors from the address ``limit`` on.
        """
        dut = self._dut
        dut.record.value = 0
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            getattr(dut, f"host__{name}").value = 0
        dut.latency.value = latency
        dut.stall.value = stall
        dut.limit.value = len(self.dram) if limit is None else limit
        dut.rst.value = 1
        if not self._ticks:
            Clock(dut.clk, PERIOD_NS, unit="ns", impl="gpi").start()
            self._ticks = True
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    async def write(self, name: str, value: int) -> None:
        """Writes a register of the host's map."""
        dut = self._dut
        dut.host__awaddr.value, dut.host__wdata.value = self._addresses[name], value
        dut.host__wstrb.value = 0xF
        dut.host__awvalid.value = dut.host__wvalid.value = dut.host__bready.value = 1
        while True:
            await FallingEdge(dut.clk)
            # Both channels are idle in front of a write, so they take it in its first cycle.
            dut.host__awvalid.value = dut.host__wvalid.value = 0
            if int(dut.host__bvalid.value):
                break
        if int(dut.host__bresp.value):
            raise RuntimeError(f"the core refuses to write {name}")
        await FallingEdge(dut.clk)
        dut.host__bready.value = 0

    async def read(self, name: str) -> int:
        """Reads a register of the host's map."""
        return await self._read(self._addresses[name])

    async def _read(self, address: int) -> int:
        dut = self._dut
        dut.host__araddr.value = address
        dut.host__arvalid.value = dut.host__rready.value = 1
        while True:
            await FallingEdge(dut.clk)
            dut.host__arvalid.value = 0
            if int(dut.host__rvalid.value):
                break
        value, wrong = int(dut.host__rdata.value), int(dut.host__rresp.value)
        await FallingEdge(dut.clk)
        dut.host__rready.value = 0
        if wrong:
            raise RuntimeError(f"the core refuses to read {address:#x}")
        return value

    async def counters(self) -> dict[str, dict[str, int]]:
        """All counters, by unit."""
        found: dict[str, dict[str, int]] = {}
        for (unit, name), address in self._counters.items():
            low = await self._read(address)
            found.setdefault(unit, {})[name] = low | await self._read(address + 4) << 32
        return found

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
        await self.write("start", sum(bits.values()) | 1 << 31)
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
        return {subcore: await self._outcome(subcore) for subcore in programs}, cycles

    def activity(self) -> dict[str, NDArray[np.int64]]:
        """When units were at work in the last :meth:`run`: rows of first cycle and one after last.

        Raises
        ------
        RuntimeError
            If there were more changes than a bench has room for.
        """
        count = int(self._dut.recorded.value)
        if count >= RECORDS:
            raise RuntimeError(f"a bench records {RECORDS} changes of what is at work, no more")
        words = self._records[:count]
        times = (words & np.uint64((1 << TIME_BITS) - 1)).astype(np.int64)
        # What is still at work at the end, since its program was stopped, has no more cycles.
        times = np.append(times, times.max(initial=-1) + 1)
        found = {}
        names = (f"{subcore}_{unit}" for subcore, units in UNITS.items() for unit in units)
        for number, name in enumerate(names):
            at_work = (words >> np.uint64(TIME_BITS + number)) & np.uint64(1)
            edges = np.diff(at_work.astype(np.int8), prepend=0, append=0)
            found[name] = np.stack([times[edges > 0], times[edges < 0]], axis=1)
        return found

    async def _outcome(self, subcore: str) -> Outcome:
        status = await self.read(f"{subcore}_status")
        return Outcome(
            fault=Fault(status >> 4 & 0xF),
            position=await self.read(f"{subcore}_position") // 4,
            overflow=bool(status >> 8 & 1),
            invalid=bool(status >> 9 & 1),
        )
