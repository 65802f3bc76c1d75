"""A top for testing the DMA: engines with their SRAMs, arbiters, and DRAM or a bus to the outside.

Two channels of a reading and a writing engine each share one bus. What AXI demands of a master is
watched in hardware on every bus.
"""

from __future__ import annotations

from amaranth import Cat, ClockDomain, ClockSignal, Module, Mux, ResetSignal, Signal
from amaranth.lib.wiring import In, Out, connect

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.dma.arbiter import AxiReadArbiter, AxiWriteArbiter
from backspike.hw.dma.axi import DRAM_BITS, AxiBus
from backspike.hw.dma.read import DmaRead
from backspike.hw.dma.write import DmaWrite
from backspike.hw.isa.dma.command import DmaCommand
from backspike.hw.memory.sram import Sram
from backspike.sim.harness.bench import SEED_FACTOR, STALL_BITS, Staller
from backspike.sim.harness.dram import LATENCY_BITS, Dram

__all__ = ["CHANNELS", "CYCLE_BITS", "DRAM_BYTES", "ENGINES", "SRAM_WORDS", "DmaBench"]

CHANNELS = 2
ENGINES = tuple(f"{kind}_{channel}" for kind in ("read", "write") for channel in range(CHANNELS))
SRAM_WORDS = 1024
DRAM_BYTES = 1 << 17
CYCLE_BITS = 24
PAGE = 4096
BURST = {
    "ar": ("addr", "len", "size", "burst"),
    "aw": ("addr", "len", "size", "burst"),
    "w": ("data", "strb", "last"),
}


class DmaBench(EmitOnce):
    """The bench.

    Parameters
    ----------
    widths : tuple of int
        Of the SRAMs of each channel, which are named ``sram_<channel>_<number>``.
    bus_bits, burst_beats, outstanding : int
        Of the engines.

    Members
    -------
    stall, dram_stall : In(8)
        Of the SRAMs' ports, and of the DRAM.
    outside : In(1)
        The bus is ``axi``, not that of the DRAM.
    latency : In(16), limit : In(40)
        Of the DRAM.
    origin : In(40), <engine>_start : In(1), <engine>_command : In(DmaCommand)
        One of :data:`ENGINES`.
    <engine>_error : Out(1), <engine>_cycles : Out(24), <engine>_counters : Out(struct)
        Of its last command; cycles from the one with start to the one with done.
    ended : Out(1)
        No engine runs.
    broken : Out(1)
        A rule was broken since the reset.
    """

    _widths = Parameter[tuple[int, ...]]()
    _bus_bits = Parameter[int]()
    _burst_beats = Parameter[int]()

    def __init__(self, *, widths, bus_bits, burst_beats, outstanding):
        memories = tuple((f"m{number}", width, 1) for number, width in enumerate(widths))
        kinds = {"read": DmaRead, "write": DmaWrite}
        self._engines = {
            name: kinds[name.partition("_")[0]](
                memories=memories,
                bus_bits=bus_bits,
                burst_beats=burst_beats,
                outstanding=outstanding,
            )
            for name in ENGINES
        }
        members = {
            "clk": In(1),
            "rst": In(1),
            "stall": In(STALL_BITS),
            "dram_stall": In(STALL_BITS),
            "outside": In(1),
            "latency": In(LATENCY_BITS),
            "limit": In(DRAM_BITS),
            "origin": In(DRAM_BITS),
            "ended": Out(1),
            "broken": Out(1),
            "axi": Out(AxiBus(data_bits=bus_bits, id_bits=1)),
        }
        for name, engine in self._engines.items():
            members |= {
                f"{name}_start": In(1),
                f"{name}_command": In(DmaCommand),
                f"{name}_error": Out(1),
                f"{name}_cycles": Out(CYCLE_BITS),
                f"{name}_counters": Out(engine.signature.members["counters"].shape),
            }
        super().__init__(
            members,
            widths=widths,
            bus_bits=bus_bits,
            burst_beats=burst_beats,
            outstanding=outstanding,
        )

    @property
    def module_name(self) -> str:
        """Always the same: a bench is only ever a top."""
        return "bench"

    @property
    def title(self) -> str:
        """Names the folder that the bench is built in."""
        return "Dma"

    def counter_layout(self, name: str):
        """Layout of the counters of an engine."""
        return self._engines[name].signature.members["counters"].shape

    def elaborate(self, platform):
        m = Module()
        # As in EngineBench: a reset and commands from registers make it several times as fast.
        m.domains.sync = ClockDomain()
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(self.rst)
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(reset)]
        running, broken = [], []
        for name, engine in self._engines.items():
            m.submodules[name] = engine
            running.append(engine.running)
            self._drive(m, name, engine)
            channels = ("ar",) if name.startswith("read") else ("aw", "w")
            broken += [self._broken(m, name, engine.bus, channel) for channel in channels]
        run = Cat(running).any()
        for channel in range(CHANNELS):
            self._memories(m, channel, run)
        bus = self._arbiters(m)
        broken += [self._broken(m, "bus", bus, channel) for channel in BURST]
        self._slaves(m, bus)
        with m.If(Cat(broken).any()):
            m.d.sync += self.broken.eq(1)
        m.d.sync += self.ended.eq(~run)
        return m

    def _drive(self, m, name, engine):
        start, error = getattr(self, f"{name}_start"), getattr(self, f"{name}_error")
        cycles = getattr(self, f"{name}_cycles")
        m.d.sync += [
            engine.command.eq(getattr(self, f"{name}_command")),
            engine.start.eq(start),
            engine.origin.eq(self.origin),
            engine.clear_counters.eq(start),
        ]
        with m.If(engine.start):
            m.d.sync += [cycles.eq(1), error.eq(0)]
        with m.Elif(engine.running):
            m.d.sync += [cycles.eq(cycles + 1), error.eq(error | engine.error)]
        m.d.comb += getattr(self, f"{name}_counters").eq(engine.counters)

    def _memories(self, m, channel, run):
        reads, writes = self._engines[f"read_{channel}"], self._engines[f"write_{channel}"]
        for number, width in enumerate(self._widths):
            sram = Sram(depth=SRAM_WORDS, width=width)
            m.submodules[f"sram_{channel}_{number}"] = sram
            for here, there, kind in (
                (getattr(reads, f"m{number}_write"), sram.write, "write"),
                (getattr(writes, f"m{number}_read"), sram.read, "read"),
            ):
                staller = Staller()
                m.submodules[f"stall_{channel}_{number}_{kind}"] = staller
                m.d.comb += [
                    staller.seed.eq(
                        (4 * number + 2 * channel + len(kind)) * SEED_FACTOR % 65535 + 1
                    ),
                    staller.run.eq(run),
                    staller.stall.eq(self.stall),
                    here.ready.eq(staller.ready),
                    there.en.eq(here.en & staller.ready),
                    there.addr.eq(here.addr),
                ]
            write, read = getattr(reads, f"m{number}_write"), getattr(writes, f"m{number}_read")
            m.d.comb += [sram.write.data.eq(write.data), sram.write.mask.eq(write.mask)]
            # A word is there in one cycle only.
            valid = Signal(name=f"valid_{channel}_{number}")
            m.d.sync += valid.eq(sram.read.en)
            m.d.comb += read.data.eq(Mux(valid, sram.read.data, ~sram.read.data))

    def _arbiters(self, m):
        bus = AxiBus(data_bits=self._bus_bits, id_bits=1).create(path=("bus",))
        reads = AxiReadArbiter(clients=CHANNELS, data_bits=self._bus_bits)
        writes = AxiWriteArbiter(clients=CHANNELS, data_bits=self._bus_bits)
        m.submodules.read_arbiter, m.submodules.write_arbiter = reads, writes
        for channel in range(CHANNELS):
            connect(m, self._engines[f"read_{channel}"].bus, reads.clients[channel])
            connect(m, self._engines[f"write_{channel}"].bus, writes.clients[channel])
        for arbiter in (reads, writes):
            for name, member in arbiter.bus.signature.members.items():
                here, there = getattr(arbiter.bus, name), getattr(bus, name)
                m.d.comb += there.eq(here) if member.flow == Out else here.eq(there)
        return bus

    def _slaves(self, m, bus):
        """The bus goes to the DRAM or to the outside."""
        m.submodules.dram = dram = Dram(
            words=DRAM_BYTES * 8 // self._bus_bits, data_bits=self._bus_bits
        )
        m.d.comb += [
            dram.latency.eq(self.latency),
            dram.stall.eq(self.dram_stall),
            dram.seed.eq(1),
            dram.limit.eq(self.limit),
        ]
        for name, member in bus.signature.members.items():
            inside, outside, here = (
                getattr(dram.bus, name),
                getattr(self.axi, name),
                getattr(bus, name),
            )
            if member.flow == In:
                m.d.comb += here.eq(Mux(self.outside, outside, inside))
            elif name.endswith("valid"):
                m.d.comb += [inside.eq(here & ~self.outside), outside.eq(here & self.outside)]
            else:
                m.d.comb += [inside.eq(here), outside.eq(here)]

    def _broken(self, m, name, bus, channel):
        """Whether a burst is none, or what is offered changes before it is taken."""
        valid, ready = getattr(bus, f"{channel}valid"), getattr(bus, f"{channel}ready")
        payload = Cat(getattr(bus, f"{channel}{part}") for part in BURST[channel])
        waits = Signal(name=f"{name}_{channel}_waits")
        offered = Signal(len(payload), name=f"{name}_{channel}_offered")
        m.d.sync += [waits.eq(valid & ~ready), offered.eq(payload)]
        broken = Signal(name=f"{name}_{channel}_broken")
        wrong = waits & (~valid | (payload != offered))
        if channel != "w":
            address, length = getattr(bus, f"{channel}addr"), getattr(bus, f"{channel}len")
            beat = self._bus_bits // 8
            wrong |= valid & (
                (length >= self._burst_beats)
                | (address % beat != 0)
                | (address % PAGE + (length + 1) * beat > PAGE)
                | (1 << getattr(bus, f"{channel}size") != beat)
                | (getattr(bus, f"{channel}burst") != 1)
            )
        m.d.comb += broken.eq(wrong)
        return broken
