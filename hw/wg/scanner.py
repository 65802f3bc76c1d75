"""From a command to the spike words with work in them."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import bits_for, exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.wg.command import WgCommand
from backspike.hw.limits import ADDRESS_BITS, TAP_BITS, TAP_MAX
from backspike.hw.memory.loops import LoopNest
from backspike.hw.memory.port import ReadPort
from backspike.hw.memory.stream import ReadStream

__all__ = ["STRIDES", "SpikeWord", "WgScanner", "WgSteps", "count_ones"]

STRIDES = range(1, TAP_MAX + 1)
"""What a stride may be."""
WORDS_AHEAD = 8
"""Words with work that wait for the picker: they hide the cycles in which a word has none."""


def WordPlace(pixels: int) -> data.StructLayout:
    """What is known of a spike word before it is read.

    Fields
    ------
    pending : pixels under a window: inside the map, on the stride's grid, with an output pixel
    rest : pixels from the grid point at or before pixel 0 to pixel 0
    du_addr : du word of that grid point, which need not exist
    last : the word is the last of its position
    last_m, last_c : its position is one of the last tile of output, of input channels
    """
    return data.StructLayout(
        {
            "pending": pixels,
            "rest": TAP_BITS,
            "du_addr": ADDRESS_BITS,
            "last": 1,
            "last_m": 1,
            "last_c": 1,
        }
    )


def SpikeRequest(pixels: int) -> data.StructLayout:
    """The address of a spike word, and what is known of the word."""
    return data.StructLayout({"addr": ADDRESS_BITS, "place": WordPlace(pixels)})


def SpikeWord(lanes: int, pixels: int) -> data.StructLayout:
    """A spike word and its place; ``pending`` are the pixels that are still to be taken."""
    return data.StructLayout(
        {"place": WordPlace(pixels), "spikes": data.ArrayLayout(lanes, pixels)}
    )


def count_ones(m: Module, value, name: str) -> Signal:
    """How many bits of ``value`` are set."""
    count = Signal(range(len(value) + 1), name=name)
    m.d.comb += count.eq(sum(value[i] for i in range(len(value))))
    return count


class WgSteps(EmitOnce):
    """Where each spike word of a command lies, and which of its pixels some output pixel sees.

    A word without such pixels is left out, unless it is the last of its position. Latency three
    cycles from ``start``; throughput one word a cycle, left out or not.

    Parameters
    ----------
    pixels : int
        P, pixels of a spike word; a power of two.

    Members
    -------
    start : In(1), command : In(WgCommand)
    o : Out(stream of SpikeRequest)
        In the order of the walk.
    """

    LEVELS = ("out", "in", "r", "s", "sample", "step", "y", "word")

    _pixels = Parameter[int]()

    def __init__(self, *, pixels: int):
        exact_log2(pixels)
        super().__init__(
            {
                "start": In(1),
                "command": In(WgCommand),
                "o": Out(stream.Signature(SpikeRequest(pixels))),
            },
            pixels=pixels,
        )

    def elaborate(self, platform):
        m = Module()
        command = self.command
        nest = self._walk(m)
        at = {name: level for level, name in enumerate(self.LEVELS)}
        last = Signal()
        m.d.comb += last.eq(nest.last[at["sample"] :].all())
        outs, rest = self._divide(m, nest, at, last)

        advance, found = Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            nest.step.eq(advance),
        ]
        place = WordPlace(self._pixels)
        coordinate = signed(ADDRESS_BITS + 2)
        here, addr, row_seen = Signal(place), Signal(ADDRESS_BITS), Signal()
        d, room, columns = (Signal(coordinate, name=name) for name in ("d", "room", "columns"))
        nest_d = nest.value[3].as_signed()
        with m.If(advance):
            m.d.sync += [
                found.eq(nest.active),
                addr.eq(nest.value[0]),
                here.rest.eq(rest),
                here.du_addr.eq(nest.value[4] + outs),
                here.last.eq(last),
                here.last_m.eq(nest.last[at["out"]]),
                here.last_c.eq(nest.last[at["in"]]),
                row_seen.eq(nest.value[1] < command.in_h),
                d.eq(nest_d),
                room.eq(command.last_x - nest_d),
                columns.eq(command.in_w - nest.value[2]),
            ]

        pending = self._see(m, here, row_seen, d, room, columns)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(found & (pending.any() | here.last)),
                self.o.payload.addr.eq(addr),
                self.o.payload.place.eq(here),
                self.o.payload.place.pending.eq(pending),
            ]
        return m

    def _walk(self, m: Module) -> LoopNest:
        """All spike words, one after the other."""
        command = self.command
        m.submodules.nest = nest = LoopNest(levels=len(self.LEVELS), values=5)
        # Per level: count, then the strides of the word's address, its row y, its first pixel x,
        # that pixel's place d = x + pad_left - s in the windows' column s, and the row of du.
        for level, (count, *strides) in enumerate(
            (
                (command.out_tiles, 0, 0, 0, 0, command.du_tile),
                (command.in_tiles, command.spike_tile, 0, 0, 0, 0),
                (command.kernel_h, command.spike_row, 1, 0, 0, 0),
                (command.kernel_w, 0, 0, 0, -1, 0),
                (command.samples, command.spike_sample, 0, 0, 0, command.du_sample),
                (command.steps, command.spike_step, 0, 0, 0, command.du_step),
                (command.out_h, command.spike_out_row, command.stride, 0, 0, command.du_row),
                (command.row_words, 1, 0, self._pixels, self._pixels, 0),
            )
        ):
            m.d.comb += nest.count[level].eq(count)
            m.d.comb += [nest.stride[value][level].eq(s) for value, s in enumerate(strides)]
        bases = (command.spike_base, -command.pad_top, 0, command.pad_left, command.du_base)
        m.d.comb += [nest.base[value].eq(base) for value, base in enumerate(bases)]
        m.d.comb += nest.start.eq(self.start)
        return nest

    def _see(self, m: Module, here: data.View, row_seen, d, room, columns) -> Signal:
        """The pixels of a word that an output pixel sees."""
        command = self.command
        # Pixel p is seen if 0 <= d + p <= last_x on the grid, in a row and a column of the map.
        grid, pending = Signal(self._pixels), Signal(self._pixels)
        with m.Switch(Cat(command.stride, here.rest)):
            for stride in STRIDES:
                for r in range(stride):
                    with m.Case(stride | r << TAP_BITS):
                        hits = sum(1 << p for p in range(self._pixels) if (p + r) % stride == 0)
                        m.d.comb += grid.eq(hits)
        with m.If(row_seen):
            for p in range(self._pixels):
                m.d.comb += pending[p].eq(grid[p] & (d >= -p) & (room >= p) & (columns > p))
        return pending

    def _divide(self, m: Module, nest: LoopNest, at: dict[str, int], last) -> tuple[Signal, Signal]:
        """Quotient and remainder of d by the stride, kept up to date without a divider."""
        command = self.command
        layout = data.StructLayout({"outs": ADDRESS_BITS, "rest": TAP_BITS})
        here, row = Signal(layout), Signal(layout)
        next_word, next_row, zero = Signal(layout), Signal(layout), Signal(layout)
        with m.Switch(Cat(command.stride, command.pad_left)):
            for stride in STRIDES:
                for pad in range(TAP_MAX + 1):
                    with m.Case(stride | pad << TAP_BITS):
                        m.d.comb += [zero.outs.eq(pad // stride), zero.rest.eq(pad % stride)]

        # The next word is P pixels on.
        outs, rest = Signal(range(self._pixels + 1)), Signal(TAP_BITS)
        with m.Switch(command.stride):
            for stride in STRIDES:
                with m.Case(stride):
                    m.d.comb += [
                        outs.eq(self._pixels // stride),
                        rest.eq(self._pixels % stride),
                    ]
        total = Signal(TAP_BITS + 1)
        m.d.comb += [
            total.eq(here.rest + rest),
            next_word.outs.eq(here.outs + outs + (total >= command.stride)),
            next_word.rest.eq(Mux(total >= command.stride, total - command.stride, total)),
        ]

        # The rows of the next position begin one pixel earlier, or again at s = 0.
        m.d.comb += next_row.eq(row)
        with m.If(last):
            with m.If(nest.last[at["s"]]):
                m.d.comb += next_row.eq(zero)
            with m.Elif(row.rest == 0):
                m.d.comb += [
                    next_row.outs.eq(row.outs - 1),
                    next_row.rest.eq(command.stride - 1),
                ]
            with m.Else():
                m.d.comb += next_row.rest.eq(row.rest - 1)

        with m.If(self.start):
            m.d.sync += [here.eq(zero), row.eq(zero)]
        with m.Elif(nest.active & nest.step):
            m.d.sync += [
                here.eq(Mux(nest.last[at["word"]], next_row, next_word)),
                row.eq(next_row),
            ]
        return here.outs, here.rest


class WgScanner(EmitOnce):
    """Reads the spike words of a command and hands on those that the array has work from.

    A word is handed on if it has a pixel that an output pixel sees and, with ``command.skip``, a
    spike in such a pixel; or if it is the last of its position. Others cost one cycle each, hidden
    while the words before them are at work.

    Parameters
    ----------
    lanes, pixels : int
        Of a spike word.

    Members
    -------
    start : In(1), command : In(WgCommand)
    port : Out(ReadPort)
        To the spikes.
    o : Out(stream of SpikeWord)
    skipped : Out
        Pixels left out in this cycle because they are silent.
    """

    _lanes = Parameter[int]()
    _pixels = Parameter[int]()

    def __init__(self, *, lanes: int, pixels: int):
        self._word = SpikeWord(lanes, pixels)
        super().__init__(
            {
                "start": In(1),
                "command": In(WgCommand),
                "port": Out(ReadPort(width=lanes * pixels)),
                "o": Out(stream.Signature(self._word)),
                "skipped": Out(bits_for(pixels)),
            },
            lanes=lanes,
            pixels=pixels,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.steps = steps = WgSteps(pixels=self._pixels)
        place = WordPlace(self._pixels)
        m.submodules.read = read = ReadStream(width=self._lanes * self._pixels, tag_bits=place.size)
        connect(m, read.port, flipped(self.port))
        m.d.comb += [
            steps.start.eq(self.start),
            steps.command.eq(self.command),
            steps.o.ready.eq(read.i_ready),
            read.i_valid.eq(steps.o.valid),
            read.i_addr.eq(steps.o.payload.addr),
            read.i_read.eq(steps.o.payload.place.pending.any()),
            read.i_tag.eq(steps.o.payload.place),
        ]

        m.submodules.words = words = SyncFIFO(width=self._word.size, depth=WORDS_AHEAD)
        found, kept = Signal(self._word), Signal()
        silent = Signal(self._pixels)
        asked = Signal(place)
        m.d.comb += [
            asked.eq(read.o_tag),
            found.spikes.eq(read.o_data),
            silent.eq(Cat(self.command.skip & ~found.spikes[p].any() for p in range(self._pixels))),
            found.place.eq(asked),
            found.place.pending.eq(asked.pending & ~silent),
            kept.eq(found.place.pending.any() | asked.last),
            words.w_data.eq(found),
            words.w_en.eq(read.o_valid & kept),
            read.o_ready.eq(words.w_rdy | ~kept),
            self.o.payload.eq(words.r_data),
            self.o.valid.eq(words.r_rdy),
            words.r_en.eq(self.o.ready),
        ]
        dropped = count_ones(m, asked.pending & silent, "dropped")
        with m.If(read.o_valid & read.o_ready):
            m.d.comb += self.skipped.eq(dropped)
        return m
