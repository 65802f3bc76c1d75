"""Nested loops in hardware: the walk that every address generator is made of."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS

__all__ = ["LoopNest"]

NEXT_TO_LAST = ~3 & (1 << COUNT_BITS) - 1
"""Complement of 3: with the step from it on, one iteration is left behind that at work."""


class _Tails(tuple[tuple[int, int], ...]):
    """Pairs of levels, as they stand in the name of a module."""

    def __str__(self) -> str:
        return "_".join(f"{level}in{outer}" for level, outer in self)


class LoopNest(EmitOnce):
    """Steps through nested loops and keeps affine functions of the loop indices.

    Level 0 is the outermost. Each of the ``values`` is ``base + sum(index[l] * stride[l])``, modulo
    2**16, without a multiplier: an address, or a coordinate, which is outside a map of size n just
    when, as an unsigned number, it is n or more.

    The state moves by one iteration in each cycle with ``step``; outputs are valid while
    ``active``, from the cycle after ``start``. Latency one cycle, throughput one iteration a cycle.

    Which level moves next, and whether it is then at its last index, stands in registers a step
    ahead, so that a step is a selection and an addition and no comparison.

    Parameters
    ----------
    levels : int
        Depth of the nest.
    values : int
        How many affine functions it keeps.
    tails : tuple of (int, int)
        Pairs of a level and one outside it: in the last iteration of the latter, the former has
        the trip count ``tail``. That is how the last group of tiles is smaller than the others.

    Members
    -------
    start, step : In(1)
        ``start`` only while not active.
    count : In(levels x COUNT_BITS), tail : In(levels x COUNT_BITS)
        Trip counts, at least 1, held from ``start`` on while active.
    base : In(values x ADDRESS_BITS), stride : In(values x levels x ADDRESS_BITS)
        Held from ``start`` on while active.
    active : Out(1)
        An iteration is at the outputs.
    first, last : Out(levels bits)
        The index of the level is 0, or its count less 1.
    value : Out(values x ADDRESS_BITS)
    """

    _levels = Parameter[int]()
    _values = Parameter[int]()
    _tails = Parameter[tuple[tuple[int, int], ...]](default=())

    def __init__(self, *, levels: int, values: int, tails: tuple[tuple[int, int], ...] = ()):
        address = unsigned(ADDRESS_BITS)
        counts = data.ArrayLayout(COUNT_BITS, levels)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "count": In(counts),
                "tail": In(counts),
                "base": In(data.ArrayLayout(address, values)),
                "stride": In(data.ArrayLayout(data.ArrayLayout(address, levels), values)),
                "active": Out(1),
                "first": Out(levels),
                "last": Out(levels),
                "value": Out(data.ArrayLayout(address, values)),
            },
            levels=levels,
            values=values,
            **({"tails": _Tails(tails)} if tails else {}),
        )

    def elaborate(self, platform):
        m = Module()
        levels, outer = range(self._levels), dict(self._tails)
        goes = Signal()
        # Of the next step: the one level that moves on, and all that begin again inside of it.
        moves, wraps = Signal(self._levels), Signal(self._levels)
        last = Signal(self._levels)  # after the next step, or the start
        m.d.comb += goes.eq(self.step & self.active)
        for level in levels:
            # Iterations with this one, complemented: adding 1 takes no LUT, subtracting it does.
            left = Signal(COUNT_BITS, name=f"left_{level}")
            one_left = Signal(name=f"one_left_{level}")
            count = Signal(COUNT_BITS, name=f"count_{level}")
            again = Signal(name=f"again_{level}")
            m.d.comb += [count.eq(self.count[level]), again.eq(self.start | wraps[level])]
            if level in outer:
                with m.If(last[outer[level]]):
                    m.d.comb += count.eq(self.tail[level])
            m.d.comb += last[level].eq(
                Mux(again, count == 1, Mux(moves[level], one_left, self.last[level]))
            )
            with m.If(self.start | goes):
                with m.If(again | moves[level]):
                    m.d.sync += left.eq(Mux(again, ~count, left + 1))
                    m.d.sync += one_left.eq(Mux(again, count == 2, left == NEXT_TO_LAST))
                    m.d.sync += self.first[level].eq(again)
        # The number of the level that moves next; one more before a start.
        mover = Signal(range(self._levels + 1), init=self._levels)
        with m.If(self.start | goes):
            m.d.sync += [self.last.eq(last), mover.eq(0)]
            for level in levels:
                with m.If(~last[level]):
                    m.d.sync += mover.eq(level)
            for level in levels:
                m.d.sync += [
                    wraps[level].eq(last[level:].all()),
                    moves[level].eq(~last[level] & last[level + 1 :].all()),
                ]
        with m.If(self.start):
            m.d.sync += self.active.eq(1)
        with m.Elif(goes & wraps[0]):
            m.d.sync += [self.active.eq(0), mover.eq(self._levels)]

        for number in range(self._values):
            # Where the current iteration of each level began; the innermost is the value itself.
            begin = [Signal(ADDRESS_BITS, name=f"begin_{number}_{level}") for level in levels]
            moved = Signal(ADDRESS_BITS, name=f"moved_{number}")
            # With a start, values are their bases, and nothing is added.
            here = _chosen(m, mover, [*begin, self.base[number]], f"here_{number}")
            by = _chosen(m, mover, [*self.stride[number], Const(0, ADDRESS_BITS)], f"by_{number}")
            m.d.comb += moved.eq(here + by)
            for level in levels:
                with m.If(self.start | (goes & (moves[level] | wraps[level]))):
                    m.d.sync += begin[level].eq(moved)
            m.d.comb += self.value[number].eq(begin[-1])
        return m


def _chosen(m: Module, number, values, name: str):
    """The one of ``values`` with this number: multiplexers of four, a LUT a bit, then of two."""
    if len(values) == 1:
        return values[0]
    chosen = Signal(ADDRESS_BITS, name=name)
    if len(values) <= 4:
        with m.Switch(number):
            for place, value in enumerate(values[:-1]):
                with m.Case(place):
                    m.d.comb += chosen.eq(value)
            with m.Default():
                m.d.comb += chosen.eq(values[-1])
    else:
        half = 1 << len(number) - 1
        low = _chosen(m, number[:-1], values[:half], f"{name}_low")
        high = _chosen(m, number[:-1], values[half:], f"{name}_high")
        m.d.comb += chosen.eq(Mux(number[-1], high, low))
    return chosen
