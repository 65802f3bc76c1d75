"""DMA from DRAM to an SRAM."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from hw.dma.axi import INCREMENT, AxiRead
from hw.dma.engine import DmaEngine
from hw.memory.port import ADDRESS_BITS, WritePort

__all__ = ["DmaRead"]


class DmaRead(DmaEngine):
    """Copies rows of words from DRAM to an SRAM: DMA_RD.

    Throughput is one beat a cycle, or one word a cycle if a beat holds several, as the bus and the
    SRAM allow, also across bursts and rows; ``busy`` counts beats. The first address is presented
    three cycles after ``start``, and the first word written in the cycle after its last beat.

    After an answer that is not OKAY neither its beat nor anything after it is written, and no
    further burst is asked for; what was asked for is waited for.

    Parameters
    ----------
    memories, bus_bits, burst_beats, outstanding
        As of :class:`hw.dma.engine.DmaEngine`.

    Members
    -------
    <memory>_write : Out(WritePort)
        Written in whole words.
    origin : In(40)
        Byte in DRAM that ``command.dram`` counts from: a multiple of the bus width. Held like the
        command.
    bus : Out(AxiRead)
        Without ids: all answers come in order.
    error : Out(1)
        With ``done``: the bus has answered with an error.
        For the others see :class:`hw.engine.Engine`; nothing is ever skipped.
    """

    def __init__(
        self,
        *,
        memories: tuple[tuple[str, int, int], ...],
        bus_bits: int,
        burst_beats: int,
        outstanding: int,
    ):
        super().__init__(
            memories=memories,
            bus_bits=bus_bits,
            burst_beats=burst_beats,
            outstanding=outstanding,
            ports={
                f"{name}_write": Out(WritePort(width=width, granules=granules))
                for name, width, granules in memories
            },
            bus=AxiRead(data_bits=bus_bits),
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        finished, failed = Signal(), Signal()
        begins = self.sequence(m, finished)
        bursts = self._walk(m, begins, failed)
        asked = Signal(range(self._outstanding + 1))  # bursts that are not here in full
        ends = Signal(self._outstanding)  # which of them are the last of a row, the latest first
        accepts = Signal()
        m.d.comb += [
            bursts.may.eq(asked != self._outstanding),
            bursts.ready.eq(bus.arready),
            bus.arvalid.eq(bursts.valid),
            bus.araddr.eq(bursts.address),
            bus.arlen.eq(bursts.length),
            bus.arsize.eq(exact_log2(self._bus_bits // 8)),
            bus.arburst.eq(INCREMENT),
            accepts.eq(bus.rvalid & bus.rready),
        ]
        m.d.sync += asked.eq(asked + bursts.asks - (accepts & bus.rlast))
        with m.If(bursts.asks):
            m.d.sync += ends.eq(Cat(bursts.ends, ends))

        # A beat waits here until its last word is written.
        beat, held, row_ends = Signal(self._bus_bits), Signal(), Signal()
        spent = Signal()
        m.d.comb += [
            bus.rready.eq(~held | spent),
            finished.eq(bursts.idle & (asked == 0) & ~held),
        ]
        with m.If(accepts):
            m.d.sync += [
                beat.eq(bus.rdata),
                held.eq(1),
                row_ends.eq(bus.rlast & ends.bit_select((asked - 1)[: len(asked)], 1)),
            ]
        with m.Elif(spent):
            m.d.sync += held.eq(0)
        with m.If(begins):
            m.d.sync += failed.eq(0)
        with m.Elif(accepts & bus.rresp[1]):
            m.d.sync += failed.eq(1)

        part, last_part, last_word, last_of_row = self._parts(m)
        address = Signal(ADDRESS_BITS)
        # A word is there in full, a beat is used up; the step that makes it so.
        whole, over, goes, ready = Signal(), Signal(), Signal(), Signal()
        selected = self._selected()
        ports = [getattr(self, f"{name}_write") for name in self._names]
        m.d.comb += [
            whole.eq((part | ~last_part).all()),
            over.eq((part | ~last_word).all() | row_ends & (part & last_word == last_of_row)),
            ready.eq(
                Cat(one & port.ready for one, port in zip(selected, ports, strict=True)).any()
            ),
            goes.eq(held & (failed | ready | ~whole)),
            spent.eq(goes & (over | failed)),
        ]
        with m.If(begins):
            m.d.sync += [part.eq(0), address.eq(self.command.base)]
        with m.Elif(goes):
            m.d.sync += part.eq(Mux(whole & over, 0, part + 1))
            with m.If(whole):
                m.d.sync += address.eq(self._next_address(address, row_ends & over))

        latest = beat  # and the beats of a wide word that came before it
        if max(self._widths) > self._bus_bits:
            gathered = Signal(max(self._widths) - self._bus_bits)
            latest = Cat(gathered, beat)
            with m.If(goes & ~whole):
                m.d.sync += gathered.eq(latest[self._bus_bits :])
        for one, port, width in zip(selected, ports, self._widths, strict=True):
            if width < self._bus_bits:
                number = part[: exact_log2(self._bus_bits // width)]
                word = beat.word_select(number, width)
            else:
                word = latest[-width:]
            m.d.comb += [
                port.en.eq(one & held & whole & ~failed),
                port.addr.eq(address),
                port.data.eq(word),
                port.mask.eq(~0),
            ]
        self.count(m, entering=accepts)
        return m
