"""DMA from an SRAM to DRAM."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Out

from backspike.hw.dma.axi import ERROR_BIT, LENGTH_BITS, AxiWrite
from backspike.hw.dma.engine import DmaEngine
from backspike.hw.dma.select import WordTree
from backspike.hw.memory.port import ReadPort

__all__ = ["DmaWrite"]

QUEUE = 8
"""Beats that may wait for the bus: those on their way from the SRAM, and enough to go on."""
ON_THEIR_WAY = 2
"""Beats that may be between a read of the SRAM and the queue."""


class DmaWrite(DmaEngine):
    """Copies rows of words from an SRAM to DRAM: DMA_WR.

    A beat is presented three cycles after its last word is read; a word of several beats is read
    once. After a response that is not OKAY, bursts that were begun are ended as AXI demands, and
    written, at most ``outstanding``.

    Members
    -------
    <memory>_read : Out(ReadPort)
        For the others see :class:`backspike.hw.dma.engine.DmaEngine`; granules do not matter.
    """

    bus_kind = AxiWrite

    def _memory_ports(self, memories):
        return {f"{name}_read": Out(ReadPort(width=width)) for name, width, _ in memories}

    @property
    def _lane_bits(self) -> int:
        """Strobes are kept for parts of a beat as wide as the narrowest word."""
        return min(*self._widths, self._bus_bits)

    @property
    def _lanes(self) -> int:
        return self._bus_bits // self._lane_bits

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        finished, failed = Signal(), Signal()
        begins = self.sequence(m, finished)
        going, over, burst_over = Signal(), Signal(), Signal()
        may = ~going | burst_over
        bursts, asked = self._walk(m, begins, "aw", bus.bvalid, failed, may)
        m.d.comb += [
            bus.bready.eq(1),
            finished.eq(bursts.idle & (asked == 0)),
        ]
        with m.If(begins):
            m.d.sync += failed.eq(0)
        with m.Elif(bus.bvalid & bus.bresp[ERROR_BIT]):
            m.d.sync += failed.eq(1)

        # The burst whose words are being read: its beats after this one, and if it ends a row.
        left, ends = Signal(LENGTH_BITS), Signal()
        last, row_ends = Signal(), Signal()
        m.d.comb += [last.eq(left == 0), row_ends.eq(last & ends), burst_over.eq(over & last)]
        with m.If(bursts.asks):
            m.d.sync += [going.eq(1), left.eq(bursts.beats), ends.eq(bursts.ends)]
        with m.Elif(burst_over):
            m.d.sync += going.eq(0)
        with m.Elif(over):
            m.d.sync += left.eq(left - 1)

        m.submodules.queue = queue = SyncFIFO(width=self._bus_bits + 2, depth=QUEUE)
        room = Signal()
        m.d.comb += room.eq(queue.level < QUEUE - ON_THEIR_WAY)
        part, last_of_row, goes = self._read(m, begins, going & room, row_ends, over)
        beat, complete = self._pack(m, part, goes, over)

        tags, tags_of_beat = Signal(2), Signal(2)
        m.d.sync += [tags.eq(Cat(last, row_ends)), tags_of_beat.eq(tags)]
        row_lanes = self._row_lanes(m, last_of_row)
        row_over = Signal()
        m.d.comb += [
            queue.w_en.eq(complete),
            queue.w_data.eq(Cat(beat, tags_of_beat)),
            queue.r_en.eq(bus.wready),
            bus.wvalid.eq(queue.r_rdy),
            Cat(bus.wdata, bus.wlast, row_over).eq(queue.r_data),
            bus.wstrb.eq(
                Cat((lane | ~row_over).replicate(self._lane_bits // 8) for lane in row_lanes)
            ),
        ]
        self.count(m, entering=bus.wvalid & bus.wready)
        return m

    def _read(self, m: Module, begins, may, row_ends, over):
        """Asks for words; a step is one word, or one beat of a word that has several.

        Returns the number of the part, the last one of a row's last beat, and whether there is a
        step in this cycle; drives ``over`` where the step is the last one of its beat.
        """
        part, last_part, last_word, last_of_row = self._parts(m)
        fresh, goes, whole, filled, ready = Signal(), Signal(), Signal(), Signal(), Signal()
        selected = self._selected()
        m.d.comb += [
            fresh.eq((part & last_part) == 0),
            whole.eq((part | ~last_part).all()),
            filled.eq((part | ~last_word).all() | row_ends & (part & last_word == last_of_row)),
            ready.eq(Cat(one & port.ready for one, port in selected).any()),
            goes.eq(may & (ready | ~fresh)),
            over.eq(goes & filled),
        ]
        address = self._steps(m, begins, goes, part, whole, filled, row_ends & filled)
        for one, port in selected:
            m.d.comb += [port.en.eq(one & may & fresh), port.addr.eq(address)]
        return part, last_of_row, goes

    def _pack(self, m: Module, part, goes, over):
        """Puts what was read into beats.

        Returns the beat, and whether it is complete, two cycles after the step that completes it.
        """
        sources, first = [], []
        arrives, arrives_first = Signal(), Signal()
        m.d.sync += [arrives.eq(goes), arrives_first.eq(goes & (part == 0))]
        for name, width in zip(self._names, self._widths, strict=True):
            data = getattr(self, f"{name}_read").data
            first.append(len(sources))
            if width <= self._bus_bits:
                sources.append(data.replicate(self._bus_bits // width))
                continue
            # Later beats of a word wait here: the memory's word is there for one cycle.
            waiting = Signal(width - self._bus_bits, name=f"waiting_{name}")
            with m.If(arrives_first):
                m.d.sync += waiting.eq(data[self._bus_bits :])
            sources += [data[: self._bus_bits]]
            sources += [
                waiting.word_select(number, self._bus_bits)
                for number in range(width // self._bus_bits - 1)
            ]
        tree = WordTree(len(sources))
        code, code_next = Signal(tree.code_bits), Signal(tree.code_bits)
        with m.Switch(self.command.sram):
            for number, width in enumerate(self._widths):
                with m.Case(number):
                    m.d.comb += code_next.eq(tree.codes[first[number]])
                    for beat in range(1, width // self._bus_bits):
                        with m.If(part == beat):
                            m.d.comb += code_next.eq(tree.codes[first[number] + beat])
        m.d.sync += code.eq(code_next)

        lanes, lanes_next = Signal(self._lanes), Signal(self._lanes)
        for width in self._by_width(m):
            for lane in range(self._lanes):
                hit = part == lane * self._lane_bits // width if width < self._bus_bits else 1
                m.d.comb += lanes_next[lane].eq(hit)
        m.d.sync += lanes.eq(lanes_next)
        word = tree.select(m, code, sources)
        beat, complete, completes = Signal(self._bus_bits), Signal(), Signal()
        for lane in range(self._lanes):
            with m.If(arrives & lanes[lane]):
                m.d.sync += beat.word_select(lane, self._lane_bits).eq(
                    word.word_select(lane, self._lane_bits)
                )
        m.d.sync += [completes.eq(over), complete.eq(completes)]
        return beat, complete

    def _row_lanes(self, m: Module, last_of_row) -> Signal:
        """Parts of a row's last beat that belong to the row."""
        lanes = Signal(self._lanes)
        for width in self._by_width(m):
            for lane in range(self._lanes):
                number = lane * self._lane_bits // width
                # The first word of a beat is always there.
                always = width >= self._bus_bits or number == 0
                m.d.comb += lanes[lane].eq(1 if always else number <= last_of_row)
        return lanes
