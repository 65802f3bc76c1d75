"""The walk of a convolution over its input: for each output pixel, what lies under the kernel."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.groups import group_nest
from backspike.hw.isa.conv.command import ConvCommand
from backspike.hw.limits import COUNT_BITS, TAP_MAX
from backspike.hw.memory.loops import LoopNest
from backspike.hw.memory.port import ReadPort
from backspike.hw.memory.stream import ReadStream

__all__ = ["SegmentFetch", "Window", "WindowGenerator"]


def Window(bits: int, group_tiles: int) -> data.StructLayout:
    """What lies under the kernel, entry by entry: the bits of a pixel, and whether it is there."""
    return data.StructLayout(
        {"entries": data.ArrayLayout(bits, group_tiles), "present": group_tiles}
    )


class SegmentFetch(EmitOnce):
    """Reads the segments (P pixels of a row) that a pass goes through, a set at a time.

    A set is one segment of each row under the kernel: of all input tiles and kernel rows of the
    group. Sets come in the order of the walk; a row outside the map is not read, and absent.

    Throughput is one segment a cycle; a set takes as many cycles as it has rows.

    Parameters
    ----------
    bits : int
        Bits of a pixel.
    pixels : int
        Pixels of a segment.
    group_rows : int
        Most rows in a set.

    Members
    -------
    start : In(1), command : In(ConvCommand)
    port : Out(ReadPort)
    valid : Out(1), take : In(1)
        A set is complete; it is replaced once taken.
    segments : Out(group_rows x pixels*bits), present : Out(group_rows)
    active : Out(1)
        Sets are still to come.
    """

    LEVELS = ("out", "group", "row_group", "sample", "step", "y", "segment", "tile", "row")

    _bits = Parameter[int]()
    _pixels = Parameter[int]()
    _group_rows = Parameter[int]()

    def __init__(self, *, bits: int, pixels: int, group_rows: int):
        super().__init__(
            {
                "start": In(1),
                "command": In(ConvCommand),
                "port": Out(ReadPort(width=pixels * bits)),
                "valid": Out(1),
                "take": In(1),
                "segments": Out(data.ArrayLayout(pixels * bits, group_rows)),
                "present": Out(group_rows),
                "active": Out(1),
            },
            bits=bits,
            pixels=pixels,
            group_rows=group_rows,
        )

    def elaborate(self, platform):
        m = Module()
        command = self.command
        at = {name: level for level, name in enumerate(self.LEVELS)}
        m.submodules.nest = nest = self._segment_nest(m, at)
        tag = data.StructLayout(
            {"row": max(1, ceil_log2(self._group_rows)), "present": 1, "last": 1}
        )
        m.submodules.read = read = ReadStream(width=self._pixels * self._bits, tag_bits=tag.size)
        asked, got = Signal(tag), Signal(tag)
        row = Signal.like(asked.row)
        m.d.comb += [
            asked.row.eq(row),
            asked.present.eq(nest.value[1] < command.in_h),
            asked.last.eq(nest.last[at["tile"]] & nest.last[at["row"]]),
            read.i_valid.eq(nest.active),
            read.i_addr.eq(nest.value[0]),
            read.i_read.eq(asked.present),
            read.i_tag.eq(asked),
            nest.step.eq(read.i_ready),
            self.active.eq(nest.active),
            got.eq(read.o_tag),
        ]
        with m.If(nest.active & read.i_ready):
            m.d.sync += row.eq(Mux(asked.last, 0, row + 1))

        connect(m, read.port, flipped(self.port))
        m.d.comb += read.o_ready.eq(~self.valid | self.take)
        with m.If(self.take):
            m.d.sync += self.valid.eq(0)
        with m.If(read.o_valid & read.o_ready):
            m.d.sync += self.valid.eq(got.last)
            with m.If(got.row == 0):
                m.d.sync += self.present.eq(0)
            for j in range(self._group_rows):
                with m.If(got.row == j):
                    m.d.sync += [
                        self.segments[j].eq(read.o_data),
                        self.present[j].eq(got.present),
                    ]
        return m

    def _segment_nest(self, m: Module, at: dict[str, int]) -> LoopNest:
        """The loops over the segments of sets, with the word and the row of the map of each."""
        command = self.command
        nest = group_nest(m, at, command)
        m.d.comb += nest.start.eq(self.start)
        # Spikes are packed, so the next segment is the next word; bits of du are one to a word.
        segment_stride = 1 if self._bits > 1 else self._pixels
        for name, count, address, y in (
            ("out", command.out_tiles, 0, 0),
            ("group", command.in_groups, command.in_group, 0),
            ("row_group", command.row_groups, command.in_row_group, command.group_rows),
            ("sample", command.samples, command.in_sample, 0),
            ("step", command.steps, command.in_step, 0),
            ("y", command.out_h, command.in_out_row, command.stride),
            ("segment", command.row_segments, segment_stride, 0),
            ("tile", command.group_tiles, command.in_tile, 0),
            ("row", command.group_rows, command.in_row, 1),
        ):
            m.d.comb += [
                nest.count[at[name]].eq(count),
                nest.stride[0][at[name]].eq(address),
                nest.stride[1][at[name]].eq(y),
            ]
        m.d.comb += [nest.base[0].eq(command.in_base), nest.base[1].eq(-command.pad_top)]
        return nest


class WindowGenerator(EmitOnce):
    """Slides the kernel over the input, one column of pixels a cycle.

    For each output pixel in the order of the walk it gives the pixels under the kernel, as
    *entries* numbered like the weight tiles of the group: (tile, kernel row, kernel column).
    Padding is known without a read: an entry outside the map is not present, and 0.

    Throughput is one window in ``stride`` cycles within an output row; a new row costs
    ``kernel_w - 1 - pad_left`` cycles more. Latency is some ten cycles from start to first window.

    Parameters
    ----------
    bits, pixels, group_rows : int
        As of :class:`SegmentFetch`.
    group_tiles : int
        Most entries of a window.

    Members
    -------
    start : In(1), command : In(ConvCommand)
    port : Out(ReadPort)
        To the spikes (FP), or the non-zero bits of du (BP).
    o : Out(stream of Window)
    """

    _bits = Parameter[int]()
    _pixels = Parameter[int]()
    _group_rows = Parameter[int]()
    _group_tiles = Parameter[int]()

    def __init__(self, *, bits: int, pixels: int, group_rows: int, group_tiles: int):
        super().__init__(
            {
                "start": In(1),
                "command": In(ConvCommand),
                "port": Out(ReadPort(width=pixels * bits)),
                "o": Out(stream.Signature(Window(bits, group_tiles))),
            },
            bits=bits,
            pixels=pixels,
            group_rows=group_rows,
            group_tiles=group_tiles,
        )

    def elaborate(self, platform):
        m = Module()
        command = self.command
        m.submodules.fetch = fetch = SegmentFetch(
            bits=self._bits, pixels=self._pixels, group_rows=self._group_rows
        )
        m.d.comb += [fetch.start.eq(self.start), fetch.command.eq(command)]
        connect(m, fetch.port, flipped(self.port))

        # The segments at work, and the pixel of each that is next.
        segments = [
            Signal(self._pixels * self._bits, name=f"seg_{j}") for j in range(self._group_rows)
        ]
        present = Signal(self._group_rows)
        place = Signal(range(self._pixels))
        left = Signal(range(self._pixels + 1))
        in_row = Signal()  # an output row is under way
        # The column that comes next; negative, and so larger than any map, in the left padding.
        x = Signal(COUNT_BITS + 1)
        x_in_map = Signal()
        first = Signal()  # it is the first of an output row
        until = Signal(range(TAP_MAX + 1))  # columns before the one that completes a window
        out_x = Signal(COUNT_BITS)
        step, completes, ends_row = Signal(), Signal(), Signal()
        used_up, load = Signal(), Signal()
        # Registers of the window start out cleared, so columns of padding that lie within them
        # need not be pushed; only those of a padding wider than the kernel are.
        lead, extra = Signal(range(TAP_MAX)), Signal(range(TAP_MAX + 1))
        with m.If(command.pad_left < command.kernel_w):
            m.d.comb += lead.eq(command.kernel_w - 1 - command.pad_left)
        with m.Else():
            m.d.comb += extra.eq(command.pad_left + 1 - command.kernel_w)
        m.d.comb += [
            x_in_map.eq(x < command.in_w),
            step.eq(in_row & (~self.o.valid | self.o.ready) & (~x_in_map | (left != 0))),
            completes.eq(until == 0),
            ends_row.eq(completes & (out_x + 1 == command.out_w)),
            # The next set starts the next row, or goes on where this row's segment ends; in the
            # right padding it must wait for the row to end.
            used_up.eq((left == 0) | (step & (left == 1) & (x + 1 != command.in_w))),
            load.eq(fetch.valid & (~in_row | (step & ends_row) | (x_in_map & used_up))),
            fetch.take.eq(load),
        ]
        with m.If(step):
            m.d.sync += [
                x.eq(x + 1),
                first.eq(0),
                until.eq(Mux(completes, command.stride - 1, until - 1)),
                out_x.eq(out_x + completes),
            ]
            with m.If(x_in_map):
                m.d.sync += [left.eq(left - 1), place.eq(place + 1)]
        with m.If(step & ends_row):
            m.d.sync += [in_row.eq(0), left.eq(0)]
        with m.If(load):
            m.d.sync += [left.eq(self._pixels), place.eq(0), present.eq(fetch.present)]
            for segment, new in zip(segments, fetch.segments, strict=True):
                m.d.sync += segment.eq(new)
            with m.If(~in_row | (step & ends_row)):
                m.d.sync += [
                    in_row.eq(1),
                    first.eq(1),
                    x.eq(-extra),
                    until.eq(lead),
                    out_x.eq(0),
                ]
        with m.If(step):
            m.d.sync += self.o.valid.eq(completes)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        seen = [x_in_map & here for here in present]
        pixels = [segment.word_select(place, self._bits) for segment in segments]
        self._shift(m, step, first, seen, pixels)
        return m

    def _shift(self, m: Module, step, first, seen: list[Value], pixels: list[Value]) -> None:
        """Moves the window by a column with ``step``: to the ``pixels`` that are ``seen``, or 0.

        With ``first``, what was in it before is gone.
        """
        command = self.command
        # Column s of the kernel is under registers s.
        pixel = data.StructLayout({"bits": self._bits, "present": 1})
        columns = [
            [Signal(pixel, name=f"column_{j}_{s}") for s in range(TAP_MAX)]
            for j in range(self._group_rows)
        ]
        last_column = Signal(range(TAP_MAX))
        m.d.comb += last_column.eq(command.kernel_w - 1)
        with m.If(step):
            for j, row in enumerate(columns):
                entering = Signal(pixel, name=f"entering_{j}")
                with m.If(seen[j]):
                    m.d.comb += [
                        entering.present.eq(1),
                        entering.bits.eq(pixels[j]),
                    ]
                for s in range(TAP_MAX):
                    behind = row[s + 1] if s + 1 < TAP_MAX else Const(0, pixel.size)
                    with m.If(last_column == s):
                        m.d.sync += row[s].eq(entering)
                    with m.Elif(first):
                        m.d.sync += row[s].eq(0)
                    with m.Else():
                        m.d.sync += row[s].eq(behind)

        # Entry e = (row, column) in the group's order, for each kernel width.
        chosen = [Signal(pixel, name=f"entry_{e}") for e in range(self._group_tiles)]
        with m.Switch(command.kernel_w):
            for width in range(1, TAP_MAX + 1):
                with m.Case(width):
                    for e, entry in enumerate(chosen):
                        if e // width < self._group_rows:
                            m.d.comb += entry.eq(columns[e // width][e % width])
        m.d.comb += [
            self.o.payload.present.eq(Cat(entry.present for entry in chosen)),
            *(self.o.payload.entries[e].eq(entry.bits) for e, entry in enumerate(chosen)),
        ]
