"""The host's side of a chip: its registers, and the way to those of each core."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import enum
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.chip.map import ALL, CHIP_BY_NAME, CHIP_IDENTITY, CHIP_REGISTERS
from backspike.hw.component import EmitOnce
from backspike.hw.core.axi_lite import BYTE_BITS, HOST_ADDRESS_BITS, SLAVE_ERROR, AxiLite
from backspike.hw.dma.axi import OKAY
from backspike.hw.limits import WORD_BITS, check_whole

__all__ = ["ChipHost", "host_address_bits"]


def host_address_bits(cores: int) -> int:
    """Bits of an address of the host of so many cores: a window for each, and two in front."""
    return HOST_ADDRESS_BITS + ceil_log2(cores + ALL + 1)


class _State(enum.Enum, shape=2):
    IDLE = 0
    BEGIN = 1
    CORES = 2
    ANSWER = 3


class ChipHost(EmitOnce):
    """Passes reads and writes on to cores, one at a time, and has registers of its own.

    Window 0 is :data:`backspike.hw.chip.map.CHIP_REGISTERS`. What is written to window 1 is written
    to all cores that are selected, in the same cycle: so programs start together. Window 2 and
    those behind are the cores themselves. What a core, or any of those selected, refuses is
    refused, and so is what goes to no core.

    Parameters
    ----------
    columns, rows : int
        Of the cores.

    Members
    -------
    bus : In(AxiLite), irq : Out(1)
    cores : Out(AxiLite) x cores
    running : In(cores), stopped : In(cores)
    """

    def __init__(self, *, columns: int, rows: int):
        self._size = (
            check_whole("ChipHost columns", columns, 1),
            check_whole("ChipHost rows", rows, 1),
        )
        self._cores = columns * rows
        super().__init__(
            {
                "bus": In(AxiLite(address_bits=host_address_bits(self._cores))),
                "irq": Out(1),
                "cores": Out(AxiLite()).array(self._cores),
                "running": In(self._cores),
                "stopped": In(self._cores),
            },
            columns=columns,
            rows=rows,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus, count = self.bus, self._cores
        state, writes, is_write = Signal(_State), Signal(), Signal()
        address, word, strobe = Signal.like(bus.awaddr), Signal(WORD_BITS), Signal.like(bus.wstrb)
        value, refused = Signal(WORD_BITS), Signal()
        # Cores that have not taken the address, or the word; and that have not answered.
        no_address, no_word, silent = Signal(count), Signal(count), Signal(count)
        answers = self._cores_side(m, is_write, address, word, no_address, no_word)

        selected, targets = Signal(count), Signal(count)
        window = address[HOST_ADDRESS_BITS:]
        with m.Switch(window):
            with m.Case(ALL):
                m.d.comb += targets.eq(Mux(is_write, selected, 0))
            for number in range(count):
                with m.Case(number + ALL + 1):
                    m.d.comb += targets.eq(1 << number)
        local = Signal()
        m.d.comb += local.eq((state == _State.BEGIN) & (window == 0))
        whole = strobe.all() & (address[:BYTE_BITS] == 0)
        found, known = self._registers(
            m, address[BYTE_BITS:HOST_ADDRESS_BITS], word, is_write, local & whole, selected
        )

        m.d.comb += [
            writes.eq(bus.awvalid & bus.wvalid),
            bus.awready.eq((state == _State.IDLE) & writes),
            bus.wready.eq(bus.awready),
            bus.arready.eq((state == _State.IDLE) & ~writes),
            bus.bvalid.eq((state == _State.ANSWER) & is_write),
            bus.rvalid.eq((state == _State.ANSWER) & ~is_write),
            bus.bresp.eq(Mux(refused, SLAVE_ERROR, OKAY)),
            bus.rresp.eq(bus.bresp),
            bus.rdata.eq(value),
        ]
        with m.Switch(state):
            with m.Case(_State.IDLE):
                m.d.sync += [
                    is_write.eq(writes),
                    address.eq(Mux(writes, bus.awaddr, bus.araddr)),
                    word.eq(bus.wdata),
                    strobe.eq(bus.wstrb | ~writes.replicate(len(strobe))),
                ]
                with m.If(writes | bus.arvalid):
                    m.d.sync += state.eq(_State.BEGIN)
            with m.Case(_State.BEGIN):
                m.d.sync += [
                    state.eq(Mux(local, _State.ANSWER, _State.CORES)),
                    no_address.eq(targets),
                    no_word.eq(Mux(is_write, targets, 0)),
                    silent.eq(targets),
                    value.eq(Mux(local & known & whole, found, 0)),
                    refused.eq(Mux(local, ~(known & whole), ~targets.any() | ~strobe.all())),
                ]
                with m.If(~local & ~strobe.all()):
                    m.d.sync += [no_address.eq(0), no_word.eq(0), silent.eq(0)]
            with m.Case(_State.CORES):
                self._collect(m, answers, is_write, no_address, no_word, silent, refused, value)
                with m.If(silent == 0):
                    m.d.sync += state.eq(_State.ANSWER)
            with m.Case(_State.ANSWER):
                with m.If(Mux(is_write, bus.bready, bus.rready)):
                    m.d.sync += state.eq(_State.IDLE)
        return m

    def _cores_side(self, m: Module, is_write, address, word, no_address, no_word):
        """Drives the channels of the cores.

        Returns of each whether it takes the address, the word, whether it answers, and if with an
        error.
        """
        found = []
        for number, core in enumerate(self.cores):
            m.d.comb += [
                core.awaddr.eq(address),
                core.araddr.eq(address),
                core.wdata.eq(word),
                core.wstrb.eq(~0),
                core.awvalid.eq(no_address[number] & is_write),
                core.arvalid.eq(no_address[number] & ~is_write),
                core.wvalid.eq(no_word[number]),
                core.bready.eq(1),
                core.rready.eq(1),
            ]
            taken = Mux(is_write, core.awready, core.arready)
            answer = Mux(is_write, core.bvalid, core.rvalid)
            wrong = Mux(is_write, core.bresp, core.rresp) != OKAY
            found.append((taken, core.wready, answer, wrong))
        return found

    def _collect(self, m: Module, answers, is_write, no_address, no_word, silent, refused, value):
        """Notes what cores take and answer: what one refuses is refused."""
        for number, (address_taken, word_taken, answer, wrong) in enumerate(answers):
            with m.If(address_taken):
                m.d.sync += no_address[number].eq(0)
            with m.If(word_taken):
                m.d.sync += no_word[number].eq(0)
            with m.If(answer):
                m.d.sync += silent[number].eq(0)
            with m.If(answer & wrong):
                m.d.sync += refused.eq(1)
            with m.If(answer & ~is_write):
                m.d.sync += value.eq(self.cores[number].rdata)

    def _registers(self, m: Module, number, word, is_write, accepted, selected):
        """The chip's own registers; returns what is read, and whether the access is allowed."""
        address = {register.name: register.address >> BYTE_BITS for register in CHIP_REGISTERS}
        readonly = {register.name for register in CHIP_REGISTERS if register.access == "r"}
        found, known = Signal(WORD_BITS), Signal()
        columns, rows = self._size
        enable, pending, cleared = Signal(2), Signal(2), Signal(2)
        now, before = Signal(2), Signal(2, init=0b01)
        m.d.comb += [
            now.eq(Cat(self.running == 0, self.stopped.any())),
            self.irq.eq((pending & enable).any()),
        ]
        m.d.sync += [before.eq(now), pending.eq((pending & ~cleared) | (now & ~before))]
        with m.Switch(number):
            for name, value in (
                ("identity", CHIP_IDENTITY),
                ("size", CHIP_BY_NAME["size"].pack(columns=columns, rows=rows)),
                ("interrupt", pending),
                ("enable", enable),
            ):
                with m.Case(address[name]):
                    m.d.comb += [found.eq(value), known.eq(~is_write if name in readonly else 1)]
            for name, mask in (
                ("select", selected),
                ("running", self.running),
                ("stopped", self.stopped),
            ):
                for part in range(-(-self._cores // WORD_BITS)):
                    with m.Case(address[name] + part):
                        bits = mask[part * WORD_BITS :][:WORD_BITS]
                        known_here = ~is_write if name in readonly else 1
                        m.d.comb += [found.eq(bits), known.eq(known_here)]
        with m.If(accepted & is_write):
            with m.Switch(number):
                with m.Case(address["interrupt"]):
                    m.d.comb += cleared.eq(word)
                with m.Case(address["enable"]):
                    m.d.sync += enable.eq(word)
                for part in range(-(-self._cores // WORD_BITS)):
                    with m.Case(address["select"] + part):
                        bits = selected[part * WORD_BITS :][:WORD_BITS]
                        m.d.sync += bits.eq(word)
        return found, known
