"""The host's side of a core: registers on AXI4-Lite, and the interrupt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.control.controller import TIMEOUT_BITS, Progress
from backspike.hw.core.axi_lite import BYTE_BITS, HOST_ADDRESS_BITS, SLAVE_ERROR, AxiLite
from backspike.hw.core.host_memory import WordAccess
from backspike.hw.core.map import BY_NAME, IDENTITY, counter_addresses
from backspike.hw.core.status import SubCoreStatus
from backspike.hw.counters import COUNTER_BITS, CounterValues
from backspike.hw.dma.axi import DRAM_BITS, OKAY
from backspike.hw.dma.select import WordTree
from backspike.hw.isa.table import UNITS
from backspike.hw.limits import WORD_BITS
from backspike.hw.noc.flit import COORDINATE_BITS
from backspike.hw.noc.table import ConnectionWrite, MeshSize

__all__ = ["HostPort"]

FIRST_TIMEOUT = 1 << 24
"""Cycles of ``timeout`` after reset."""


class HostPort(EmitOnce):
    """The registers of :data:`backspike.hw.core.map.REGISTERS`, and the counters of all units.

    One read and one write at a time; a read takes three cycles. An address that is none, or that
    may not be read or written, is answered with SLVERR and does nothing; so is a write of less
    than a word.

    Parameters
    ----------
    counters : dict of str to tuple of str
        Names of the counters of each unit.
    connections : int
        Tags of a sub-core that can have one.

    Members
    -------
    bus : In(AxiLite), irq : Out(1)
    start : Out(len(UNITS)), forget : Out(1), clear_counters : Out(1)
        High for one cycle.
    connect : Out(2), entry : Out(ConnectionWrite)
        To the table of connections of a sub-core.
    x, y : In(4), extent : In(MeshSize)
        Where the core is; constant.
    memory : Out(WordAccess)
        To DRAM.
    origin, fp_program, bp_program : Out(40), timeout : Out(32)
    fp, bp : In(SubCoreStatus)
    <unit> : In(struct of 40-bit counters)
    """

    _counters = Parameter[tuple[tuple[str, tuple[str, ...]], ...]]()
    _connections = Parameter[int]()

    def __init__(self, *, counters: Mapping[str, tuple[str, ...]], connections: int):
        super().__init__(
            {
                "bus": In(AxiLite()),
                "irq": Out(1),
                "start": Out(len(UNITS)),
                "forget": Out(1),
                "clear_counters": Out(1),
                "connect": Out(len(UNITS)),
                "entry": Out(ConnectionWrite),
                "x": In(COORDINATE_BITS),
                "y": In(COORDINATE_BITS),
                "extent": In(MeshSize),
                "memory": Out(WordAccess()),
                "origin": Out(DRAM_BITS),
                "fp_program": Out(DRAM_BITS),
                "bp_program": Out(DRAM_BITS),
                "timeout": Out(TIMEOUT_BITS, init=FIRST_TIMEOUT),
                "fp": In(SubCoreStatus),
                "bp": In(SubCoreStatus),
                **{unit: In(CounterValues(names)) for unit, names in counters.items()},
            },
            counters=tuple(counters.items()),
            connections=connections,
        )

    def elaborate(self, platform):
        m = Module()
        enable, pending, ended = Signal(len(UNITS)), Signal(len(UNITS)), Signal(len(UNITS))
        programs = {subcore: Signal(WORD_BITS, name=f"program_{subcore}") for subcore in UNITS}
        origin, pointer = Signal(DRAM_BITS), Signal(WORD_BITS)

        self._read(m, self._readable(programs, enable, pending, origin, pointer))
        cleared = self._write(
            m,
            {
                "enable": enable,
                "memory_address": pointer,
                "timeout": self.timeout,
                "origin_low": origin[:WORD_BITS],
                "origin_high": origin[WORD_BITS:],
                **{f"{name}_program": signal for name, signal in programs.items()},
            },
        )

        with m.If(self.memory.written | self.memory.found):
            m.d.sync += pointer.eq(pointer + (1 << BYTE_BITS))

        # A program ends in the cycle in which `progress` becomes DONE or STOPPED.
        for number, subcore in enumerate(UNITS):
            progress = getattr(self, subcore).progress
            over = (progress == Progress.DONE) | (progress == Progress.STOPPED)
            before = Signal(name=f"over_{number}")
            m.d.sync += before.eq(over)
            m.d.comb += ended[number].eq(over & ~before)
        m.d.sync += pending.eq((pending & ~cleared) | ended)
        m.d.comb += [
            self.irq.eq((pending & enable).any()),
            self.origin.eq(origin),
            self.memory.address.eq(origin + pointer),
            *(
                getattr(self, f"{name}_program").eq(origin + program)
                for name, program in programs.items()
            ),
        ]
        return m

    def _readable(self, programs, enable, pending, origin, pointer) -> dict[str, Any]:
        """What registers read as, by their names."""
        readable = {
            "identity": IDENTITY,
            "interrupt": pending,
            "enable": enable,
            "timeout": self.timeout,
            "origin_low": origin[:WORD_BITS],
            "origin_high": origin[WORD_BITS:],
            "memory_address": pointer,
            "memory_data": self.memory.value,
            "place": _packed(
                "place",
                {
                    "column": self.x,
                    "row": self.y,
                    "columns": self.extent.columns,
                    "rows": self.extent.rows,
                },
            ),
        }
        for subcore, program in programs.items():
            status, waits = getattr(self, subcore), getattr(self, subcore).waits
            readable |= {
                f"{subcore}_program": program,
                f"{subcore}_status": _packed(f"{subcore}_status", status),
                f"{subcore}_position": status.position << BYTE_BITS,
                f"{subcore}_waits": _packed(
                    f"{subcore}_waits",
                    {"tag": waits.tag_id, "answer": waits.answer, "boxes": waits.boxes},
                ),
            }
        return readable

    def _read(self, m: Module, readable: Mapping[str, Any]) -> None:
        """Answers reads: of the registers in ``readable``, and of counters."""
        bus = self.bus
        # The address is registered, then the word, in two steps for the many counters.
        wanted, asked, found = Signal(HOST_ADDRESS_BITS), Signal(), Signal(WORD_BITS)
        upper, known, is_counter = Signal(COUNTER_BITS - WORD_BITS), Signal(), Signal()
        places = counter_addresses(dict(self._counters))
        tree = WordTree(len(places))
        code = Signal(tree.code_bits)
        values = [getattr(self, unit)[name] for unit, name in places]
        m.d.comb += bus.arready.eq(~asked & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [asked.eq(1), wanted.eq(bus.araddr)]
        with m.Switch(wanted[BYTE_BITS:]):
            for name, value in readable.items():
                with m.Case(_word_number(name)):
                    m.d.comb += [found.eq(value), known.eq("r" in BY_NAME[name].access)]
            for number, place in enumerate(places.values()):
                low = place >> BYTE_BITS
                with m.Case(low):
                    m.d.comb += [code.eq(tree.codes[number]), known.eq(1), is_counter.eq(1)]
                with m.Case(low + 1):
                    m.d.comb += [found.eq(upper), known.eq(1)]
        counter = tree.select(m, code, values)
        valid_read, of_memory = Signal(), Signal()
        m.d.comb += [
            valid_read.eq(known & (wanted[:BYTE_BITS] == 0) & ~(of_memory & self.memory.error)),
            of_memory.eq(wanted == BY_NAME["memory_data"].address),
            self.memory.read.eq(asked & of_memory),
        ]
        with m.If(asked & (~of_memory | self.memory.found)):
            m.d.sync += [
                asked.eq(0),
                bus.rvalid.eq(1),
                bus.rdata.eq(Mux(valid_read, Mux(is_counter, counter, found), 0)),
                bus.rresp.eq(Mux(valid_read, OKAY, SLAVE_ERROR)),
            ]
            with m.If(is_counter):
                m.d.sync += upper.eq(counter[WORD_BITS:])
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)

    def _write(self, m: Module, writable: Mapping[str, Any]) -> Signal:
        """Takes writes: to the registers in ``writable``, and those that do something.

        Returns the bits of ``interrupt`` that are cleared.
        """
        bus = self.bus
        # Address and word may come in any order.
        has_address, has_word = Signal(), Signal()
        place, word, whole = Signal(HOST_ADDRESS_BITS), Signal(WORD_BITS), Signal()
        written, writes, to_memory = Signal(), Signal(), Signal()
        m.d.comb += [
            bus.awready.eq(~has_address & ~bus.bvalid),
            bus.wready.eq(~has_word & ~bus.bvalid),
            to_memory.eq(has_address & (place == BY_NAME["memory_data"].address)),
            self.memory.write.eq(to_memory & has_word & whole),
            self.memory.word.eq(word),
            writes.eq(has_address & has_word & (~self.memory.write | self.memory.written)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), place.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [has_word.eq(1), word.eq(bus.wdata), whole.eq(bus.wstrb.all())]
        m.d.sync += [
            self.start.eq(0),
            self.forget.eq(0),
            self.clear_counters.eq(0),
            self.connect.eq(0),
        ]
        cleared = Signal(len(UNITS))
        start = BY_NAME["start"]
        accepted = writes & whole & (place[:BYTE_BITS] == 0)
        with m.Switch(place[BYTE_BITS:]):
            for name, target in writable.items():
                with m.Case(_word_number(name)):
                    m.d.comb += written.eq(1)
                    with m.If(accepted):
                        m.d.sync += target.eq(word)
            with m.Case(_word_number("memory_data")):
                m.d.comb += written.eq(~self.memory.error)
            with m.Case(_word_number("start")):
                m.d.comb += written.eq(1)
                with m.If(accepted):
                    m.d.sync += [
                        self.start.eq(Cat(start.field(name).of(word) for name in UNITS)),
                        self.forget.eq(start.field("empty").of(word)),
                        self.clear_counters.eq(start.field("zero").of(word)),
                    ]
            with m.Case(_word_number("connect")):
                self._connect(m, word, accepted, written)
            with m.Case(_word_number("interrupt")):
                m.d.comb += [written.eq(1), cleared.eq(Mux(accepted, word, 0))]
        with m.If(writes):
            m.d.sync += [
                has_address.eq(0),
                has_word.eq(0),
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(written & accepted, OKAY, SLAVE_ERROR)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return cleared

    def _connect(self, m: Module, word, accepted, written) -> None:
        """Gives a tag its connection, if it can have one."""
        # The fields in front of the last one are those of a ConnectionWrite.
        tag, *end, own = BY_NAME["connect"].fields
        m.d.comb += written.eq(tag.of(word) < self._connections)
        with m.If(accepted & written):
            bp = own.of(word)
            entry = Cat(field.of(word) for field in (tag, *end))
            m.d.sync += [self.entry.as_value().eq(entry), self.connect.eq(Cat(~bp, bp))]


def _word_number(name: str) -> int:
    """Which word a register is."""
    return BY_NAME[name].address >> BYTE_BITS


def _packed(name: str, values: Any) -> Value:
    """The word of a register, from the values of all its fields; bits of none are 0."""
    parts: list[Value] = []
    for field in BY_NAME[name].fields:
        value = Value.cast(values[field.name])
        assert len(value) == field.bits, f"{name}.{field.name} has {len(value)} bits"
        if gap := field.low - len(Cat(parts)):
            parts.append(Signal(gap))
        parts.append(value)
    return Cat(parts)
