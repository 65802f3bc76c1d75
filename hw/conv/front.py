"""From a command to the steps of an array: what the FP and BP engines have in common."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.walker import ArrayStep, Walker
from backspike.hw.conv.window import WindowGenerator
from backspike.hw.isa.conv.command import ConvCommand
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS
from backspike.hw.memory.loops import LoopNest
from backspike.hw.memory.port import ReadPort
from backspike.hw.memory.stream import ReadStream

__all__ = ["ConvFront", "Pixel"]

WINDOWS_AHEAD = 8
"""Windows with work that wait for the walker: they hide the cycles in which a window has none."""


def Pixel(fire_lanes: int) -> data.StructLayout:
    """What is known of an output pixel while the array works on it."""
    return data.StructLayout(
        {
            "addr": ADDRESS_BITS,  # of its psums
            "input": ADDRESS_BITS,  # of the input word under entry 0 (BP)
            **({"fire": fire_lanes} if fire_lanes else {}),  # lanes that take part (BP)
            "read": 1,  # starts from the psums that are there
            "write": 1,  # ends with a write
            "group_last": 1,  # is the last of its group
        }
    )


class ConvFront(EmitOnce):
    """Walks over windows and hands the array, step by step, the tiles that each lane takes.

    A pixel in whose window nothing takes part costs at most the cycle in which its window is made,
    and that is hidden while pixels before it are at work. It enters the array only to write +0 (in
    the first group with ``psum_acc = 0``) or to mark the end of its group.

    Parameters
    ----------
    bits : int
        Bits of an input pixel: the lanes that walk apart (FP), or 1 (BP: is du other than 0).
    pixels, group_rows, group_tiles : int
        As of :class:`backspike.hw.conv.window.WindowGenerator`.
    ring_depth : int
        Tiles in the ring.
    fire_lanes : int
        Lanes of the fire map; 0 for none (FP).

    Members
    -------
    start : In(1), command : In(ConvCommand)
    input : Out(ReadPort), fire : Out(ReadPort)
        To the spikes or non-zero bits; to the fire map.
    request : Out(stream of Pixel)
        Pixels on their way to the array, for :class:`backspike.hw.conv.psums.PsumAccess`.
    claimable, claim
        Of the same.
    group_valid, group_base, next_group
        Of :class:`backspike.hw.conv.weights.WeightLoader`.
    o : Out(stream of ArrayStep)
        The steps (:func:`backspike.hw.conv.walker.ArrayStep`), each with its Pixel.
    present : Out
        Entries of the window that is being handed on with ``window``; for the counters.
    window : Out(1)
    idle : Out(1)
        All windows of the command have become steps, and all steps have been taken.
    """

    LEVELS = ("out", "group", "row_group", "sample", "step", "y", "x")

    _bits = Parameter[int]()
    _pixels = Parameter[int]()
    _group_rows = Parameter[int]()
    _group_tiles = Parameter[int]()
    _ring_depth = Parameter[int]()
    _fire_lanes = Parameter[int]()

    def __init__(
        self,
        *,
        bits: int,
        pixels: int,
        group_rows: int,
        group_tiles: int,
        ring_depth: int,
        fire_lanes: int = 0,
    ):
        self._pixel = Pixel(fire_lanes)
        slot_bits = ceil_log2(ring_depth)
        members = {
            "start": In(1),
            "command": In(ConvCommand),
            "input": Out(ReadPort(width=pixels * bits)),
            "request": Out(stream.Signature(self._pixel)),
            "claimable": In(1),
            "claim": Out(1),
            "group_valid": In(1),
            "group_base": In(slot_bits),
            "next_group": Out(1),
            "o": Out(stream.Signature(ArrayStep(bits, ring_depth, self._pixel))),
            "window": Out(1),
            "present": Out(group_tiles),
            "idle": Out(1),
        }
        if fire_lanes:
            members["fire"] = Out(ReadPort(width=pixels * fire_lanes))
        super().__init__(
            members,
            bits=bits,
            pixels=pixels,
            group_rows=group_rows,
            group_tiles=group_tiles,
            ring_depth=ring_depth,
            fire_lanes=fire_lanes,
        )

    def elaborate(self, platform):
        m = Module()
        command = self.command
        m.submodules.windows = windows = WindowGenerator(
            bits=self._bits,
            pixels=self._pixels,
            group_rows=self._group_rows,
            group_tiles=self._group_tiles,
        )
        connect(m, windows.port, flipped(self.input))
        m.submodules.nest = nest = self._output_nest(m)
        m.d.comb += [
            windows.start.eq(self.start),
            windows.command.eq(command),
            nest.start.eq(self.start),
            nest.step.eq(windows.o.valid & windows.o.ready),
            self.window.eq(windows.o.valid & windows.o.ready),
            self.present.eq(windows.o.payload.present),
        ]
        made = self._make(m, nest, windows)
        m.submodules.queue = queue = SyncFIFO(
            width=self._bits * self._group_tiles + self._group_tiles + self._pixel.size,
            depth=WINDOWS_AHEAD,
        )
        known, known_valid, known_ready = Signal(made.shape()), Signal(), Signal()
        pixel = Signal(self._pixel)
        busy, kept = Signal(), Signal()
        if self._fire_lanes:
            self._read_fire(m, nest, made, windows, known, known_valid, known_ready, pixel.fire)
            some = known.window.as_value().any() & pixel.fire.any()
            m.d.comb += busy.eq(Mux(command.skip, some, known.present.any()))
        else:
            self._hold(m, made, windows, known, known_valid, known_ready, busy)

        # What needs no cycle of the array ends here.
        m.d.comb += [
            pixel.addr.eq(known.addr),
            pixel.input.eq(known.input),
            pixel.write.eq(busy | known.from_zero),
            pixel.read.eq(busy & ~known.from_zero),
            pixel.group_last.eq(known.group_last),
            kept.eq(pixel.write | pixel.group_last),
            self.request.payload.eq(pixel),
            self.request.valid.eq(known_valid & kept & queue.w_rdy),
            known_ready.eq(~kept | (queue.w_rdy & self.request.ready)),
            queue.w_en.eq(known_valid & kept & self.request.ready),
            queue.w_data.eq(
                Cat(
                    pixel,
                    Mux(busy, known.present, 0),
                    Mux(busy, known.window.as_value(), 0),
                )
            ),
        ]

        self._walk(m, queue, nest.active | known_valid)
        return m

    def _make(self, m: Module, nest: LoopNest, windows: WindowGenerator) -> data.View:
        """The window at hand, with all that the loops know of its pixel."""
        command = self.command
        at = {name: level for level, name in enumerate(self.LEVELS)}
        scan = [at[name] for name in ("sample", "step", "y", "x")]
        made = Signal(
            data.StructLayout(
                {
                    "window": data.ArrayLayout(self._bits, self._group_tiles),
                    "present": self._group_tiles,
                    "addr": ADDRESS_BITS,
                    "input": ADDRESS_BITS,
                    "fire_x": ceil_log2(self._pixels),
                    "from_zero": 1,
                    "group_last": 1,
                }
            )
        )
        m.d.comb += [
            made.window.eq(windows.o.payload.entries),
            made.present.eq(windows.o.payload.present),
            made.addr.eq(nest.value[0]),
            made.input.eq(nest.value[1]),
            made.fire_x.eq(nest.value[3]),
            # The first group of a tile starts from +0, unless psums are to be added to.
            made.from_zero.eq(
                nest.first[at["group"]] & nest.first[at["row_group"]] & ~command.psum_acc
            ),
            made.group_last.eq(Cat(nest.last[level] for level in scan).all()),
        ]
        return made

    def _walk(self, m: Module, queue: SyncFIFO, making: Value) -> None:
        """From windows in ``queue`` to steps of the array; ``making`` says that more may come."""
        command = self.command
        m.submodules.walker = walker = Walker(
            lanes=self._bits,
            group_tiles=self._group_tiles,
            ring_depth=self._ring_depth,
            payload_bits=self._pixel.size,
        )
        starts, last_of_group = Signal(self._pixel), Signal(self._pixel)
        m.d.comb += [
            walker.skip.eq(command.skip),
            Cat(walker.i_payload, walker.i_present, walker.i_window).eq(queue.r_data),
            walker.i_base.eq(self.group_base),
            starts.eq(walker.i_payload),
            last_of_group.eq(walker.ends_payload),
            self.next_group.eq(walker.ends & last_of_group.group_last),
            # In the cycle in which a group ends the loader still shows that group.
            walker.i_valid.eq(
                queue.r_rdy & self.group_valid & ~self.next_group & (self.claimable | ~starts.read)
            ),
            queue.r_en.eq(walker.i_valid & walker.i_ready),
            self.claim.eq(walker.i_valid & walker.i_ready & starts.read),
            self.o.valid.eq(walker.o.valid),
            self.o.payload.eq(walker.o.payload),
            walker.o.ready.eq(self.o.ready),
        ]
        in_walk = Signal()
        with m.If(walker.i_valid & walker.i_ready):
            m.d.sync += in_walk.eq(1)
        with m.Elif(walker.ends):
            m.d.sync += in_walk.eq(0)
        m.d.comb += self.idle.eq(~(making | queue.r_rdy | in_walk | walker.o.valid))

    def _output_nest(self, m: Module) -> LoopNest:
        """The loops over output pixels, with what is found at each: psums, input, fire map."""
        command = self.command
        nest = LoopNest(levels=len(self.LEVELS), values=4)
        # Per level: count, then the strides of psums, input, fire row and fire column.
        for level, (count, *strides) in enumerate(
            (
                (command.out_tiles, command.out_tile, 0, command.fire_tile, 0),
                (command.in_groups, 0, command.in_group, 0, 0),
                (command.row_groups, 0, command.in_row_group, 0, 0),
                (
                    command.samples,
                    command.out_sample,
                    command.in_sample,
                    command.fire_sample,
                    0,
                ),
                (command.steps, command.out_step, command.in_step, command.fire_step, 0),
                (command.out_h, command.out_row, command.in_out_row, command.fire_row, 0),
                (command.out_w, command.out_col, command.stride, 0, command.fire_col),
            )
        ):
            m.d.comb += nest.count[level].eq(count)
            m.d.comb += [nest.stride[value][level].eq(s) for value, s in enumerate(strides)]
        bases = (
            command.out_base,
            command.in_base - command.pad_left,
            command.fire_base,
            command.fire_x,
        )
        m.d.comb += [nest.base[value].eq(base) for value, base in enumerate(bases)]
        return nest

    def _hold(self, m, made, windows, known, known_valid, known_ready, busy):
        """Holds each window in a register, so that none decides in its cycle on the next one."""
        m.d.comb += windows.o.ready.eq(~known_valid | known_ready)
        with m.If(windows.o.ready):
            m.d.sync += [
                known_valid.eq(windows.o.valid),
                known.eq(made),
                busy.eq(Mux(self.command.skip, made.window.as_value().any(), made.present.any())),
            ]

    def _read_fire(self, m, nest, made, windows, known, known_valid, known_ready, fire):
        """Puts the fire bits of its pixel beside each window; a word is read once for a stretch."""
        command = self.command
        m.submodules.fires = fires = ReadStream(
            width=self._pixels * self._fire_lanes, tag_bits=made.shape().size + 1
        )
        connect(m, fires.port, flipped(self.fire))
        addr = Signal(ADDRESS_BITS)
        asked = Signal(ADDRESS_BITS)
        asked_any = Signal()
        word = Signal(self._pixels * self._fire_lanes)
        kept_word = Signal.like(word)
        x = Signal(COUNT_BITS)
        m.d.comb += [
            x.eq(nest.value[3]),
            addr.eq(nest.value[2] + (x >> ceil_log2(self._pixels))),
            fires.i_valid.eq(windows.o.valid),
            windows.o.ready.eq(fires.i_ready),
            fires.i_addr.eq(addr),
            fires.i_read.eq(command.mask & ~(asked_any & (asked == addr))),
            fires.i_tag.eq(Cat(made, fires.i_read)),
            known_valid.eq(fires.o_valid),
            known.eq(fires.o_tag),
            fires.o_ready.eq(known_ready),
            word.eq(Mux(fires.o_tag[-1], fires.o_data, kept_word)),
        ]
        with m.If(windows.o.valid & windows.o.ready):
            m.d.sync += [asked.eq(addr), asked_any.eq(1)]
        with m.If(self.start):
            m.d.sync += asked_any.eq(0)
        with m.If(known_valid & known_ready):
            m.d.sync += kept_word.eq(word)
        with m.If(command.mask):
            m.d.comb += fire.eq(word.word_select(known.fire_x, self._fire_lanes))
        with m.Else():
            m.d.comb += fire.eq(~0)
