"""Decides, cycle by cycle, which tile of the ring each lane takes for the pixel at hand."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter

__all__ = ["ArrayStep", "Walker"]


def ArrayStep(lanes: int, ring_depth: int, pixel: ShapeLike) -> data.StructLayout:
    """What an array takes in a cycle; ``pixel`` is what else is known of the pixel."""
    return data.StructLayout(
        {
            "entry": 1,  # some lane goes through an entry, with its bit set or (skip off) not
            "take": lanes,  # lanes that take part
            "slots": data.ArrayLayout(ceil_log2(ring_depth), lanes),  # their tiles
            "first": 1,  # is the first of its pixel
            "last": 1,  # is the last of its pixel
            "pixel": pixel,
        }
    )


class Walker(EmitOnce):
    """Lets every lane walk through the set bits of its column of a window, lowest entry first.

    A pixel takes as many cycles as its busiest lane has set bits, at least one; the next pixel
    follows without a gap. With ``skip`` off all lanes go through all entries that are present,
    side by side, and a lane takes part where its bit is set: the same sums in the dense time.

    Parameters
    ----------
    lanes : int
        Lanes that walk apart.
    group_tiles : int
        Bits of a lane's column.
    ring_depth : int
        Tiles in the ring, a power of two.
    payload_bits : int
        What else is known of a pixel, handed on with each of its steps.

    Members
    -------
    skip : In(1)
    i_valid, i_ready, i_window (group_tiles x lanes), i_present, i_base, i_payload
        The pixels; ``i_base`` is the slot of entry 0.
    o : Out(stream of ArrayStep)
    ends : Out(1)
        The last step of a pixel is being made; ``i_payload`` of it is at ``ends_payload``.
    """

    _lanes = Parameter[int]()
    _group_tiles = Parameter[int]()
    _ring_depth = Parameter[int]()

    def __init__(self, *, lanes: int, group_tiles: int, ring_depth: int, payload_bits: int):
        slot_bits = ceil_log2(ring_depth)
        super().__init__(
            {
                "skip": In(1),
                "i_valid": In(1),
                "i_ready": Out(1),
                "i_window": In(data.ArrayLayout(lanes, group_tiles)),
                "i_present": In(group_tiles),
                "i_base": In(slot_bits),
                "i_payload": In(payload_bits),
                "o": Out(stream.Signature(ArrayStep(lanes, ring_depth, payload_bits))),
                "ends": Out(1),
                "ends_payload": Out(payload_bits),
            },
            lanes=lanes,
            group_tiles=group_tiles,
            ring_depth=ring_depth,
            payload_bits=payload_bits,
        )

    def elaborate(self, platform):
        m = Module()
        active = Signal()
        base = Signal(ceil_log2(self._ring_depth))
        payload = Signal.like(self.i_payload)
        first = Signal()
        lane_last, lane_entry = Signal(self._lanes), Signal(self._lanes)
        moves = Signal()
        step = self.o.payload
        m.d.comb += [
            moves.eq(~self.o.valid | self.o.ready),
            self.ends.eq(active & moves & lane_last.all()),
            self.ends_payload.eq(payload),
            self.i_ready.eq(~active | self.ends),
        ]
        with m.If(self.i_ready):
            m.d.sync += [
                active.eq(self.i_valid),
                base.eq(self.i_base),
                payload.eq(self.i_payload),
                first.eq(1),
            ]
        with m.Elif(moves):
            m.d.sync += first.eq(0)
        with m.If(moves):
            m.d.sync += [
                self.o.valid.eq(active),
                step.first.eq(first),
                step.last.eq(lane_last.all()),
                step.entry.eq(lane_entry.any()),
                step.pixel.eq(payload),
            ]
        for lane in range(self._lanes):
            self._walk_lane(m, lane, moves, base, lane_last, lane_entry)
        return m

    def _walk_lane(self, m: Module, lane: int, moves, base, lane_last, lane_entry) -> None:
        """Takes a lane through its column of the window, by an entry when the step ``moves``.

        Its bit of ``lane_entry`` says whether it is at an entry, that of ``lane_last`` that none is
        left behind it.
        """
        column = Signal(self._group_tiles, name=f"column_{lane}")
        bits = Signal(self._group_tiles, name=f"bits_{lane}")
        # What is left to walk through, and that without the lowest entry: known a cycle ahead,
        # and so is whether it is nothing, since all lanes together decide on the next pixel.
        pending = Signal(self._group_tiles, name=f"pending_{lane}")
        rest = Signal(self._group_tiles, name=f"rest_{lane}")
        asked = Signal(self._group_tiles, name=f"asked_{lane}")
        asked_rest = Signal(self._group_tiles, name=f"asked_rest_{lane}")
        next_rest = Signal(self._group_tiles, name=f"next_rest_{lane}")
        lowest = Signal(self._group_tiles, name=f"lowest_{lane}")
        index = Signal(range(self._group_tiles), name=f"index_{lane}")
        m.d.comb += [
            column.eq(Cat(entry[lane] for entry in self.i_window)),
            asked.eq(
                Mux(self.skip, column, self.i_present) & self.i_valid.replicate(self._group_tiles)
            ),
            asked_rest.eq(asked & (asked - 1)),
            next_rest.eq(rest & (rest - 1)),
            lowest.eq(pending & ~rest),
            lane_entry[lane].eq(pending.any()),
        ]
        # One-hot to binary.
        for bit in range(len(index)):
            ones = [lowest[e] for e in range(self._group_tiles) if e >> bit & 1]
            m.d.comb += index[bit].eq(Cat(ones).any())
        with m.If(self.i_ready):
            m.d.sync += [
                bits.eq(column),
                pending.eq(asked),
                rest.eq(asked_rest),
                lane_last[lane].eq(asked_rest == 0),
            ]
        with m.Elif(moves):
            m.d.sync += [
                pending.eq(rest),
                rest.eq(next_rest),
                lane_last[lane].eq(next_rest == 0),
            ]
        with m.If(moves):
            m.d.sync += [
                self.o.payload.take[lane].eq((lowest & bits).any()),
                self.o.payload.slots[lane].eq(base + index),
            ]
