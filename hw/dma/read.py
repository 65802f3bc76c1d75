"""DMA from DRAM to an SRAM."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from backspike.hw.dma.axi import ERROR_BIT, AxiRead
from backspike.hw.dma.engine import DmaEngine
from backspike.hw.memory.port import WritePort

__all__ = ["DmaRead"]


class DmaRead(DmaEngine):
    """Copies rows of words from DRAM to an SRAM: DMA_RD.

    The first word is written in the cycle after its last beat. Neither the beat of an answer that
    is not OKAY nor anything after it is written.

    Members
    -------
    <memory>_write : Out(WritePort)
        Written in whole words. For the others see :class:`backspike.hw.dma.engine.DmaEngine`.
    """

    bus_kind = AxiRead

    def _memory_ports(self, memories):
        return {
            f"{name}_write": Out(WritePort(width=width, granules=granules))
            for name, width, granules in memories
        }

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        finished, failed = Signal(), Signal()
        accepts = Signal()
        begins = self.sequence(m, finished)
        bursts, asked = self._walk(m, begins, "ar", accepts & bus.rlast, failed)
        # Which of the bursts that were asked for are the last of a row, the latest first.
        ends = Signal(self._outstanding)
        m.d.comb += accepts.eq(bus.rvalid & bus.rready)
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
        with m.Elif(accepts & bus.rresp[ERROR_BIT]):
            m.d.sync += failed.eq(1)

        part, last_part, last_word, last_of_row = self._parts(m)
        # A word is there in full, a beat is used up; the step that makes it so.
        whole, over, goes, ready = Signal(), Signal(), Signal(), Signal()
        selected = self._selected()
        m.d.comb += [
            whole.eq((part | ~last_part).all()),
            over.eq((part | ~last_word).all() | row_ends & (part & last_word == last_of_row)),
            ready.eq(Cat(one & port.ready for one, port in selected).any()),
            goes.eq(held & (failed | ready | ~whole)),
            spent.eq(goes & (over | failed)),
        ]
        address = self._steps(m, begins, goes, part, whole, over, row_ends & over)

        self._write(m, beat, held, part, goes, whole, failed, address)
        self.count(m, entering=accepts)
        return m

    def _write(self, m: Module, beat, held, part, goes, whole, failed, address) -> None:
        """Writes the word that is complete: part of the beat, the beat, or several beats."""
        latest = beat  # and the beats of a wide word that came before it
        if max(self._widths) > self._bus_bits:
            gathered = Signal(max(self._widths) - self._bus_bits)
            latest = Cat(gathered, beat)
            with m.If(goes & ~whole):
                m.d.sync += gathered.eq(latest[self._bus_bits :])
        for (one, port), width in zip(self._selected(), self._widths, strict=True):
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
