"""A top for testing chips, with DRAM, and what a cocotb testbench drives it with."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import cocotb
import numpy as np
from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal, Value
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from numpy.typing import NDArray

from backspike.hw.chip.chip import Chip
from backspike.hw.chip.host import host_address_bits
from backspike.hw.chip.map import ALL, CHIP_REGISTERS, core_window
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.core.axi_lite import HOST_ADDRESS_BITS, AxiLite
from backspike.hw.core.map import REGISTERS, START_EMPTY, START_ZERO
from backspike.hw.dma.axi import ADDRESS_BITS as DRAM_BITS
from backspike.hw.isa.table import UNITS
from backspike.hw.noc.connection import Place
from backspike.sim.harness.access import RECORDS, CoreMemories, CoreRegisters, activity
from backspike.sim.harness.bench import STALL_BITS
from backspike.sim.harness.delay import DELAY_BITS, Delay
from backspike.sim.harness.dram import LATENCY_BITS, SPREAD_BITS, Dram
from backspike.sim.harness.driver import backdoor
from backspike.sim.harness.host import Host
from backspike.sim.harness.noise import SEED_BITS
from backspike.sim.harness.recorder import Recorder
from backspike.sim.model.machine.controller import Outcome
from backspike.sim.model.machine.core import Connections

__all__ = ["ChipBench", "ChipDriver"]

SIDES = {"east": "west", "west": "east", "south": "north", "north": "south"}
PERIOD_PS = 2000
"""Of the clock of the cores."""
CORE_ADDRESSES = {register.name: register.address for register in REGISTERS}
CHIP_ADDRESSES = {register.name: register.address for register in CHIP_REGISTERS}


class ChipBench(EmitOnce):
    """Chips, joined at their edges, with their DRAMs; host and DRAM's latency are ports.

    Parameters
    ----------
    config : ChipConfig
        Of each chip; with links if there are several.
    dram_bytes : int
        Of each port to DRAM.
    chips : (int, int)
        From west to east, and from north to south; they are numbered row by row.
    """

    config = Parameter[ChipConfig]()

    def __init__(self, config: ChipConfig, *, dram_bytes: int, chips: tuple[int, int] = (1, 1)):
        if chips != (1, 1) and not config.noc.link_credits:
            raise ValueError(
                f"ChipBench chips must be (1, 1) where noc.link_credits is 0, not {chips}"
            )
        self.grid = chips
        self.chips = chips[0] * chips[1]
        self.dram_words = dram_bytes * 8 // config.dram.bus_bits
        self._cores = config.mesh.cores * self.chips
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "noc_clk": In(1),
                "host": In(AxiLite(address_bits=self.host_bits + ceil_log2(self.chips))),
                "irq": Out(1).array(self.chips),
                "latency": In(LATENCY_BITS),
                "spread": In(SPREAD_BITS),
                "stall": In(STALL_BITS),
                "limit": In(DRAM_BITS),
                "delay": In(DELAY_BITS),
                "delay_stall": In(STALL_BITS),
                "seed": In(SEED_BITS),
                "record": In(1),
                "recorded": Out(ceil_log2(RECORDS) + 1).array(self._cores),
            },
            config=config,
            dram_words=self.dram_words,
            chips=chips,
        )

    @property
    def setting(self) -> dict[str, Any]:
        """What another one like it is made with."""
        dram_bytes = self.dram_words * self.config.dram.bus_bits // 8
        return {"config": self.config, "dram_bytes": dram_bytes, "chips": self.grid}

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return "Chip"

    @property
    def blocks(self) -> tuple[str, ...]:
        """Modules that are Verilated once, however many there are."""
        return ("core",)

    @property
    def host_bits(self) -> int:
        """Bits of an address of the host of one chip."""
        return host_address_bits(self.config.mesh.cores)

    def places(self) -> list[tuple[int, Place]]:
        """Chip and place in the whole mesh of every core, in the order of their numbers."""
        mesh = self.config.mesh
        return [
            (chip, (self.first(chip)[0] + x, self.first(chip)[1] + y))
            for chip in range(self.chips)
            for y in range(mesh.rows)
            for x in range(mesh.columns)
        ]

    def first(self, chip: int) -> Place:
        """The place of a chip's north-western core in the whole mesh."""
        row, column = divmod(chip, self.grid[0])
        return column * self.config.mesh.columns, row * self.config.mesh.rows

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mesh = self.config.mesh
        reset = Signal(reset_less=True)
        for name, clock in (("sync", self.clk), ("noc", self.noc_clk)):
            m.domains += ClockDomain(name)
            m.d.comb += [ClockSignal(name).eq(clock), ResetSignal(name).eq(reset)]
        m.d.sync += reset.eq(self.rst)
        chips = [Chip.from_config(self.config) for _ in range(self.chips)]
        for number, chip in enumerate(chips):
            m.submodules[f"chip_{number}"] = chip
            m.d.comb += [
                chip.x0.eq(self.first(number)[0]),
                chip.y0.eq(self.first(number)[1]),
                chip.extent.columns.eq(mesh.columns * self.grid[0]),
                chip.extent.rows.eq(mesh.rows * self.grid[1]),
                self.irq[number].eq(chip.irq),
            ]
            for port, bus in enumerate(chip.dram):
                self._dram(m, f"dram_{number}_{port}", bus)
            for core in range(mesh.cores):
                at = number * mesh.cores + core
                recorder = Recorder(width=len(chip.working[core]), depth=RECORDS)
                m.submodules[f"recorder_{at}"] = recorder
                m.d.comb += [
                    recorder.watch.eq(chip.working[core]),
                    recorder.run.eq(self.record),
                    self.recorded[at].eq(recorder.count),
                ]
        for number, chip in enumerate(chips):
            row, column = divmod(number, self.grid[0])
            if column + 1 < self.grid[0]:
                self._link(m, f"eastward_{number}", chip, "east", chips[number + 1])
                self._link(m, f"westward_{number}", chips[number + 1], "west", chip)
            if row + 1 < self.grid[1]:
                self._link(m, f"southward_{number}", chip, "south", chips[number + self.grid[0]])
                self._link(m, f"northward_{number}", chips[number + self.grid[0]], "north", chip)
        self._hosts(m, chips)
        return m

    def _dram(self, m: Module, name: str, bus: Any) -> None:
        dram = Dram(
            words=self.dram_words,
            data_bits=self.config.dram.bus_bits,
            id_bits=len(bus.arid),
        )
        m.submodules[name] = dram
        connect(m, bus, dram.bus)
        m.d.comb += [
            dram.latency.eq(self.latency),
            dram.spread.eq(self.spread),
            dram.stall.eq(self.stall),
            dram.seed.eq(self._seed(name)),
            dram.limit.eq(self.limit),
        ]

    def _seed(self, name: str) -> Value:
        """Another one for each name."""
        return (self.seed ^ zlib.crc32(name.encode()))[:SEED_BITS]

    def _link(self, m: Module, name: str, here: Chip, side: str, there: Chip) -> None:
        """What leaves a chip at one side comes to the next one later, and so do the credits."""
        for network in ("requests", "replies"):
            outs = getattr(here, f"{network}_{side}_out")
            ins = getattr(there, f"{network}_{SIDES[side]}_in")
            for place, (out, into) in enumerate(zip(outs, ins, strict=True)):
                for kind, source, sink in (
                    ("flit", out.flit, into.flit),
                    ("credit", into.credit, out.credit),
                ):
                    what = f"{name}_{network}_{place}_{kind}"
                    delay = Delay(source.signature.members["payload"].shape)
                    m.submodules[what] = DomainRenamer("noc")(delay)
                    m.d.comb += [
                        delay.delay.eq(self.delay),
                        delay.stall.eq(self.delay_stall),
                        delay.seed.eq(self._seed(what) | 1),
                    ]
                    connect(m, source, delay.i)
                    connect(m, delay.o, sink)

    def _hosts(self, m: Module, chips: list[Chip]) -> None:
        """The upper bits of an address are the chip."""
        if self.chips == 1:
            connect(m, flipped(self.host), chips[0].host)
            return
        for channel, address in (("w", self.host.awaddr), ("r", self.host.araddr)):
            chosen = address[self.host_bits :]
            for number, chip in enumerate(chips):
                here = chosen == number
                for name, member in AxiLite(address_bits=self.host_bits).members.items():
                    read = name.startswith(("ar", "r"))
                    if read != (channel == "r"):
                        continue
                    mine, theirs = getattr(self.host, name), getattr(chip.host, name)
                    if member.flow == Out:
                        valid = name.endswith("valid")
                        m.d.comb += theirs.eq(mine & here if valid else mine)
                    else:
                        with m.If(here):
                            m.d.comb += mine.eq(theirs)


class ChipDriver:
    """Fills and reads the memories of all cores behind their backs, and is their host.

    Python runs only while registers are read and written: the clocks are in the simulator.

    Parameters
    ----------
    dut
        cocotb's handle of the bench.
    bench : ChipBench
        What it was made from.
    """

    def __init__(self, dut: Any, bench: ChipBench):
        self._dut = dut
        self._noc_clock: Clock | None = None
        self._noc_period_ps = 0
        self._bench = bench
        self._host = Host(dut)
        config, mesh = bench.config, bench.config.mesh
        bus_bytes = config.dram.bus_bits // 8
        self._drams: dict[Place, NDArray[np.uint8]] = {}
        self._origins: dict[Place, tuple[int, int]] = {}
        self._cores: dict[Place, CoreRegisters] = {}
        self._memories: dict[Place, CoreMemories] = {}
        self._records: dict[Place, NDArray[np.uint64]] = {}
        for number, (chip, place) in enumerate(bench.places()):
            core = number % mesh.cores
            y, x = divmod(core, mesh.columns)
            port = 0 if config.dram.shared else core
            scope = f"bench.dram_{chip}_{port}"
            self._drams[place] = backdoor(scope, bench.dram_words, 8 * bus_bytes).reshape(-1)
            size = bench.dram_words * bus_bytes // (mesh.cores if config.dram.shared else 1)
            # A multiple of 4 KB, as the origin has to be.
            size &= ~0xFFF
            self._origins[place] = (core * size if config.dram.shared else 0), size
            window = self._chip(chip) + core_window(core)
            self._cores[place] = CoreRegisters(config, self._host, window)
            self._memories[place] = CoreMemories(config, f"bench.chip_{chip}.core_{x}_{y}")
            records = backdoor(f"bench.recorder_{number}", RECORDS, 64)
            self._records[place] = records.view(np.uint64)[:, 0]

    def _chip(self, number: int) -> int:
        """Address of the first register of a chip."""
        return number << self._bench.host_bits

    def dram(self, place: Place) -> NDArray[np.uint8]:
        """The DRAM of a core from its origin on: its own part, if the cores of a chip share it."""
        origin, size = self._origins[place]
        return self._drams[place][origin : origin + size]

    def memories(self, place: Place) -> CoreMemories:
        """The SRAMs of a core."""
        return self._memories[place]

    def registers(self, place: Place) -> CoreRegisters:
        """The registers of a core."""
        return self._cores[place]

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
        cycles; ``noc_period_ps`` is that of the networks' clock, where a core's takes 2000.
        """
        dut = self._dut
        dut.record.value = 0
        self._host.idle()
        dut.latency.value, dut.spread.value = latency, spread
        dut.stall.value, dut.seed.value = stall, seed
        dram = next(iter(self._drams.values()))
        dut.limit.value = len(dram) if limit is None else limit
        dut.delay.value, dut.delay_stall.value = delay, delay_stall
        dut.rst.value = 1
        if self._noc_clock is None:
            Clock(dut.clk, PERIOD_PS, unit="ps", impl="gpi").start()
        elif self._noc_period_ps != noc_period_ps:
            self._noc_clock.stop()
            self._noc_clock = None
        if self._noc_clock is None:
            high = noc_period_ps // 2  # of a period that may be odd
            self._noc_clock = Clock(
                dut.noc_clk, noc_period_ps, period_high=high, unit="ps", impl="gpi"
            )
            self._noc_clock.start()
            self._noc_period_ps = noc_period_ps
        # Several cycles of either clock.
        await Timer(8 * max(PERIOD_PS, noc_period_ps), unit="ps")
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        for _ in range(2):
            await FallingEdge(dut.clk)

        for place, (origin, _) in self._origins.items():
            await self._cores[place].write("origin_low", origin)

    async def connect(self, connections: Mapping[Place, Connections]) -> None:
        """Gives the tags of all sub-cores their connections."""
        for place, subcores in connections.items():
            for own, tags in subcores.items():
                for tag, connection in tags.items():
                    await self._cores[place].write("connect", connection.word(tag, own))

    async def _masks(self, chip: int, name: str, value: int | None = None) -> int:
        """Reads a register with a bit for each core, or writes it first."""
        first = self._chip(chip) + CHIP_ADDRESSES[name]
        found = 0
        for word in range(-(-self._bench.config.mesh.cores // 32)):
            if value is not None:
                await self._host.write(first + 4 * word, value >> 32 * word & 0xFFFF_FFFF)
            found |= await self._host.read(first + 4 * word) << 32 * word
        return found

    async def store(self, places: Iterable[Place], address: int, words: Iterable[int]) -> None:
        """Writes words of 32 bits to DRAM of all these cores, each from its origin on, by the host.

        What cores of a chip are given costs no more than what one of them is.
        """
        wanted = set(places)
        words = list(words)
        for chip in range(self._bench.chips):
            cores = sum(
                1 << number % self._bench.config.mesh.cores
                for number, (its_chip, place) in enumerate(self._bench.places())
                if its_chip == chip and place in wanted
            )
            if not cores:
                continue
            await self._write_all(chip, cores, "memory_address", address)
            for word in words:
                await self._write_all(chip, None, "memory_data", word)

    async def run(
        self,
        programs: Mapping[Place, Mapping[str, int]],
        *,
        timeout: int = 1 << 20,
        limit: int = 50_000_000,
        empty: bool = True,
    ) -> tuple[dict[Place, dict[str, Outcome]], int]:
        """Runs programs that lie at these addresses in the cores' DRAMs, to their ends.

        All sub-cores of a chip start in the same cycle, with ``empty`` message boxes or with what
        is in them. Returns what has become of each program, and the cycles that it took.

        Raises
        ------
        TimeoutError
            If they are not over after ``limit`` cycles.
        """
        dut, bench = self._dut, self._bench
        for _, place in bench.places():
            registers = self._cores[place]
            for subcore, address in programs.get(place, {}).items():
                await registers.write(f"{subcore}_program", address)
            await registers.write("timeout", timeout)
        for chip in range(bench.chips):
            await self._host.write(self._chip(chip) + CHIP_ADDRESSES["enable"], 1)
            every = (1 << bench.config.mesh.cores) - 1
            await self._write_all(chip, every, "start", START_EMPTY * empty | START_ZERO)
        # Cores that run the same sub-cores start together.
        dut.record.value = 1
        begin = cocotb.simtime.get_sim_time("ps")
        for chip in range(bench.chips):
            for bits in range(1, 1 << len(UNITS)):
                cores = sum(
                    1 << number % bench.config.mesh.cores
                    for number, (its_chip, place) in enumerate(bench.places())
                    if its_chip == chip and _start_bits(programs.get(place, {})) == bits
                )
                if cores:
                    await self._write_all(chip, cores, "start", bits)
        for chip in range(bench.chips):
            await self._end(chip, limit)
        cycles = int((cocotb.simtime.get_sim_time("ps") - begin) / PERIOD_PS)
        outcomes = {
            place: {
                subcore: await self._cores[place].outcome(subcore)
                for subcore in programs.get(place, {})
            }
            for _, place in bench.places()
        }
        return outcomes, cycles

    async def _write_all(self, chip: int, cores: int | None, name: str, word: int) -> None:
        """Writes a word to all these cores, a bit each, or to those of before, at once."""
        if cores is not None:
            await self._masks(chip, "select", cores)
        window = self._chip(chip) + (ALL << HOST_ADDRESS_BITS)
        await self._host.write(window + CORE_ADDRESSES[name], word)

    async def _end(self, chip: int, limit: int) -> None:
        """Waits until all programs of a chip have ended."""
        irq = getattr(self._dut, f"irq__{chip}")
        while True:
            # In this order: what ends from here on raises the interrupt.
            await self._host.write(self._chip(chip) + CHIP_ADDRESSES["interrupt"], 1)
            if not await self._masks(chip, "running"):
                return
            if not int(irq.value):
                await First(RisingEdge(irq), Timer(limit * PERIOD_PS, unit="ps"))
            if not int(irq.value):
                raise TimeoutError(f"the chip is not done after {limit} cycles")
            await FallingEdge(self._dut.clk)

    def _recorded(self, number: int) -> int:
        """Changes recorded of a core."""
        return int(getattr(self._dut, f"recorded__{number}").value)

    def activity(self) -> dict[Place, dict[str, NDArray[np.int64]]]:
        """When units of each core were at work in the last :meth:`run`."""
        return {
            place: activity(self._records[place], self._recorded(number))
            for number, (_, place) in enumerate(self._bench.places())
        }


def _start_bits(programs: Mapping[str, int]) -> int:
    """What starts these programs of a core."""
    return sum(1 << list(UNITS).index(subcore) for subcore in programs)
