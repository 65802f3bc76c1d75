"""Nested loops in hardware: the walk that every address generator is made of."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.component import EmitOnce
from hw.memory.port import ADDRESS_BITS

__all__ = ["COUNT_BITS", "LoopNest"]

COUNT_BITS = 12
"""Bits of a loop's trip count."""


class LoopNest(EmitOnce):
    """Steps through nested loops and keeps affine functions of the loop indices.

    Level 0 is the outermost. Each of the ``values`` is ``base + sum(index[l] * stride[l])``, modulo
    2**16, without a multiplier: an address, or a coordinate, which is outside a map of size n just
    when, as an unsigned number, it is n or more.

    The state moves by one iteration in each cycle with ``step``; outputs are valid while
    ``active``, from the cycle after ``start``. Latency one cycle, throughput one iteration a cycle.

    Parameters
    ----------
    levels : int
        Depth of the nest.
    values : int
        How many affine functions it keeps.

    Members
    -------
    start, step : In(1)
    count : In(levels x 12 bits)
        Trip counts, at least 1, held while active. A count may depend on ``last`` of the levels
        outside its own: that is how the last group of tiles is smaller than the others.
    base : In(values x 16 bits), stride : In(values x levels x 16 bits)
        Held while active.
    active : Out(1)
        An iteration is at the outputs.
    first, last : Out(levels bits)
        The index of the level is 0, or its count less 1.
    value : Out(values x 16 bits)
    """

    def __init__(self, *, levels: int, values: int):
        self._levels = levels
        self._values = values
        address = unsigned(ADDRESS_BITS)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "count": In(data.ArrayLayout(COUNT_BITS, levels)),
                "base": In(data.ArrayLayout(address, values)),
                "stride": In(data.ArrayLayout(data.ArrayLayout(address, levels), values)),
                "active": Out(1),
                "first": Out(levels),
                "last": Out(levels),
                "value": Out(data.ArrayLayout(address, values)),
            },
            levels=levels,
            values=values,
        )

    def elaborate(self, platform):
        m = Module()
        levels = range(self._levels)
        index = [Signal(COUNT_BITS, name=f"index_{level}") for level in levels]
        # The level that moves on is the innermost that is not at its last index.
        moves = Signal(self._levels)
        inner_last = Signal(self._levels + 1)
        m.d.comb += inner_last[self._levels].eq(1)
        for level in levels:
            m.d.comb += [
                self.first[level].eq(index[level] == 0),
                self.last[level].eq(index[level] + 1 == self.count[level]),
                inner_last[level].eq(inner_last[level + 1] & self.last[level]),
                moves[level].eq(inner_last[level + 1] & ~self.last[level]),
            ]
            with m.If(self.start | (self.step & inner_last[level])):
                m.d.sync += index[level].eq(0)
            with m.Elif(self.step & moves[level]):
                m.d.sync += index[level].eq(index[level] + 1)
        with m.If(self.start):
            m.d.sync += self.active.eq(1)
        with m.Elif(self.step & inner_last[0]):
            m.d.sync += self.active.eq(0)
        for number in range(self._values):
            # Where the current iteration of each level began; the innermost is the value itself.
            begin = [Signal(ADDRESS_BITS, name=f"begin_{number}_{level}") for level in levels]
            here = Signal(ADDRESS_BITS, name=f"here_{number}")
            stride = Signal(ADDRESS_BITS, name=f"stride_{number}")
            moved = Signal(ADDRESS_BITS, name=f"moved_{number}")
            for level in levels:
                with m.If(moves[level]):
                    m.d.comb += [
                        here.eq(begin[level]),
                        stride.eq(self.stride[number][level]),
                    ]
            m.d.comb += moved.eq(here + stride)
            for level in levels:
                with m.If(self.start):
                    m.d.sync += begin[level].eq(self.base[number])
                with m.Elif(self.step & (moves[: level + 1] != 0)):
                    m.d.sync += begin[level].eq(moved)
            m.d.comb += self.value[number].eq(begin[-1])
        return m
