"""Loads weights into the ring beside the PEs, group by group, ahead of their use."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.groups import group_nest
from backspike.hw.isa.conv.command import ConvCommand
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.loops import LoopNest
from backspike.hw.memory.port import ReadPort
from backspike.hw.memory.stream import ReadStream

__all__ = ["WeightLoader", "part_bits"]

GROUPS_AHEAD = 8
"""Groups that can be complete and not yet walked over, or walked over and not yet released."""


def part_bits(lanes: int, weight_words: int) -> int:
    """Bits of the number of a part of a tile; one also where a tile is a single part."""
    return max(1, ceil_log2(lanes // weight_words))


class WeightLoader(EmitOnce):
    """Fills the ring of ``ring_depth`` tiles with the tiles of group after group.

    Throughput is one SRAM word, ``weight_words`` rows of a tile, a cycle while the ring has room:
    the tiles of a group are freed together when it is released.

    Parameters
    ----------
    word_bits : int
        Bits of a row of a tile: lanes x bits of a weight.
    lanes : int
        Rows of a tile.
    weight_words : int
        Rows in an SRAM word.
    ring_depth : int
        Tiles in the ring, a power of two.

    Members
    -------
    start : In(1), command : In(ConvCommand)
    port : Out(ReadPort)
    write : Out(1), slot, part, rows : Out
        Rows ``part * weight_words`` on of the tile in ``slot`` arrive, once each.
    offset_write : Out(1), offset : Out(ADDRESS_BITS)
        How far the input words of the tile in ``slot`` lie behind those of the first of its group.
    group_valid : Out(1), group_base : Out
        A group is complete, from slot ``group_base`` on.
    next_group : In(1)
        The walk over it is over: give the next.
    release : In(1)
        The oldest group walked over has left the pipeline: its tiles may be overwritten.
    idle : Out(1)
        Nothing is in the ring or to come.
    """

    LEVELS = ("out", "group", "row_group", "tile", "row", "col", "part")

    _word_bits = Parameter[int]()
    _weight_words = Parameter[int]()
    _ring_depth = Parameter[int]()

    def __init__(self, *, word_bits: int, lanes: int, weight_words: int, ring_depth: int):
        self._parts = lanes // weight_words
        super().__init__(
            {
                "start": In(1),
                "command": In(ConvCommand),
                "port": Out(ReadPort(width=word_bits * weight_words)),
                "write": Out(1),
                "slot": Out(ceil_log2(ring_depth)),
                "part": Out(part_bits(lanes, weight_words)),
                "rows": Out(word_bits * weight_words),
                "offset_write": Out(1),
                "offset": Out(ADDRESS_BITS),
                "group_valid": Out(1),
                "group_base": Out(ceil_log2(ring_depth)),
                "next_group": In(1),
                "release": In(1),
                "idle": Out(1),
            },
            word_bits=word_bits,
            lanes=lanes,
            weight_words=weight_words,
            ring_depth=ring_depth,
        )

    def elaborate(self, platform):
        m = Module()
        at = {name: level for level, name in enumerate(self.LEVELS)}
        m.submodules.nest = nest = self._word_nest(m, at)

        tag = data.StructLayout({"last_part": 1, "last_tile": 1, "offset": ADDRESS_BITS})
        m.submodules.read = read = ReadStream(
            width=self._word_bits * self._weight_words, tag_bits=tag.size
        )
        connect(m, read.port, flipped(self.port))
        asked, got = Signal(tag), Signal(tag)
        reserved = Signal(range(self._ring_depth + 1))  # tiles in the ring or on their way to it
        room, asks, freed = Signal(), Signal(), Signal(range(self._ring_depth + 1))
        last = nest.last
        m.d.comb += [
            room.eq(~nest.first[at["part"]] | (reserved != self._ring_depth)),
            asked.last_part.eq(last[at["part"]]),
            asked.last_tile.eq(last[at["tile"]] & last[at["row"]] & last[at["col"]]),
            asked.offset.eq(nest.value[1]),
            read.i_valid.eq(nest.active & room),
            read.i_addr.eq(nest.value[0]),
            read.i_read.eq(1),
            read.i_tag.eq(asked),
            asks.eq(read.i_valid & read.i_ready),
            nest.step.eq(asks),
        ]
        m.d.sync += reserved.eq(reserved + (asks & nest.first[at["part"]]) - freed)
        self._keep(m, read, got, freed)
        m.d.comb += self.idle.eq(~nest.active & (reserved == 0))
        return m

    def _word_nest(self, m: Module, at: dict[str, int]) -> LoopNest:
        """The loops over the words of tiles, with the address and the input offset of each."""
        command = self.command
        nest = group_nest(m, at, command)
        for name, count, address, offset in (
            ("out", command.out_tiles, command.w_out_tile, 0),
            ("group", command.in_groups, command.w_group, 0),
            ("row_group", command.row_groups, command.w_row_group, 0),
            ("tile", command.group_tiles, command.w_tile, command.in_tile),
            ("row", command.group_rows, command.w_row, command.in_row),
            ("col", command.kernel_w, command.w_col, 1),
            ("part", self._parts, 1, 0),
        ):
            m.d.comb += [
                nest.count[at[name]].eq(count),
                nest.stride[0][at[name]].eq(address),
                nest.stride[1][at[name]].eq(offset),
            ]
        m.d.comb += [nest.start.eq(self.start), nest.base[0].eq(command.w_base)]
        return nest

    def _keep(self, m: Module, read: ReadStream, got: data.View, freed: Signal) -> None:
        """Hands on what arrives, and keeps each group until its release, which frees its tiles."""
        # Groups, by their number of tiles: complete ones, then those that are on their way out.
        size_bits = ceil_log2(self._ring_depth + 1)
        m.submodules.groups = groups = SyncFIFO(width=size_bits, depth=GROUPS_AHEAD)
        m.submodules.walked = walked = SyncFIFO(width=size_bits, depth=GROUPS_AHEAD)
        size = Signal(range(self._ring_depth + 1))
        base = Signal(ceil_log2(self._ring_depth))
        completes = Signal()
        m.d.comb += [
            got.eq(read.o_tag),
            completes.eq(read.o_valid & got.last_part & got.last_tile),
            read.o_ready.eq(groups.w_rdy | ~completes),
            self.write.eq(read.o_valid & read.o_ready),
            self.rows.eq(read.o_data),
            self.offset.eq(got.offset),
            self.offset_write.eq(self.write & got.last_part),
            groups.w_en.eq(completes),
            groups.w_data.eq(size + 1),
            groups.r_en.eq(self.next_group),
            walked.w_en.eq(self.next_group),
            walked.w_data.eq(groups.r_data),
            walked.r_en.eq(self.release),
            self.group_valid.eq(groups.r_rdy),
            self.group_base.eq(base),
            freed.eq(Mux(self.release, walked.r_data, 0)),
        ]
        with m.If(self.write):
            m.d.sync += self.part.eq(Mux(got.last_part, 0, self.part + 1))
            with m.If(got.last_part):
                m.d.sync += [self.slot.eq(self.slot + 1), size.eq(size + 1)]
                with m.If(got.last_tile):
                    m.d.sync += size.eq(0)
        with m.If(self.next_group):
            m.d.sync += base.eq(base + groups.r_data)
