"""The WG array: one exact accumulator for each pair of an output and an input channel."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.arith.fixed import ToFixed
from backspike.hw.arith.format import Float, psum_nan
from backspike.hw.component import EmitOnce, Parameter

__all__ = ["WgArray", "WgColumn", "WgSum"]

TABLE = 6
"""Inputs of a lookup table of an FPGA."""
SECTION = 4
"""Rows that a column selects among before a register: what one table selects from."""


def WgSum(format: Float) -> data.StructLayout:
    """What an accumulator holds: the sum of the finite terms, and whether another one took part."""
    return data.StructLayout({"sum": signed(format.psum_bits), "special": 1})


class WgColumn(EmitOnce):
    """The accumulators of one input channel, and the copies that they are read out from.

    acc[m] = exact sum of du[m] over the cycles with ``take`` since ``clear``. A column that does
    not take holds every register. Copies are read while the next sum grows. Latency one cycle from
    operands to accumulator, and from ``select`` to ``o``; throughput one vector a cycle.

    Parameters
    ----------
    format : Float
        Of du.
    lanes : int
        Output channels m; a power of two.

    Members
    -------
    take : In(1)
        The channel has a spike.
    du : In(signed(fixed_bits)) x lanes, special : In(lanes)
        Gradients on the fixed-point grid, and those that were NaN or infinite (and are 0 here).
    clear : In(1)
        All accumulators become 0; wins over ``take``.
    capture : In(1)
        Copy the accumulators as they are before this cycle's ``take`` or ``clear``.
    select : In(1), row : In
        Show the copy of accumulator ``row``.
    o : Out(WgSum) x sections
        The row that was selected is the bitwise or of these; all are 0 when none was.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int):
        self.sections = max(1, lanes // SECTION)
        exact_log2(lanes)
        super().__init__(
            {
                "take": In(1),
                "du": In(signed(format.fixed_bits)).array(lanes),
                "special": In(lanes),
                "clear": In(1),
                "capture": In(1),
                "select": In(1),
                "row": In(range(lanes)),
                "o": Out(WgSum(format)).array(self.sections),
            },
            format=format,
            lanes=lanes,
        )

    def elaborate(self, platform):
        m = Module()
        # No register needs a reset but those of the output: the engine clears before it adds, and
        # reads what it captured. As synchronous resets, ``clear`` in front of the adder and the
        # zeros of ``o`` cost no gate.
        layout = WgSum(self._format)
        copies = []
        for row in range(self._lanes):
            acc = Signal(layout, name=f"acc_{row}", reset_less=True)
            copy = Signal(layout, name=f"copy_{row}", reset_less=True)
            copies.append(copy)
            with m.If(self.clear):
                m.d.sync += acc.eq(0)
            with m.Elif(self.take):
                m.d.sync += [
                    acc.sum.eq(acc.sum + self.du[row]),
                    acc.special.eq(acc.special | self.special[row]),
                ]
            with m.If(self.capture):
                m.d.sync += copy.eq(acc)

        size = self._lanes // self.sections
        within = self.row[: exact_log2(size)]
        for section, o in enumerate(self.o):
            chosen = Signal(layout, name=f"chosen_{section}")
            here = Signal(name=f"here_{section}")
            m.d.comb += here.eq(self.select & (self.row >> len(within) == section))
            with m.Switch(within):
                for i, copy in enumerate(copies[section * size : (section + 1) * size]):
                    with m.Case(i):
                        m.d.comb += chosen.eq(copy)
            m.d.sync += o.eq(0)
            with m.If(here):
                m.d.sync += o.eq(chosen)
        return m


def group_bits(lanes: int, dw_lanes: int) -> int:
    """Bits of the number of a group of ``dw_lanes`` columns; at least one."""
    return max(1, exact_log2(lanes // dw_lanes))


class WgArray(EmitOnce):
    """L x L accumulators with the converters in front of them and the selection behind.

    A vector of L values of du enters with ``enter``; the columns with a spike add it one cycle
    later. Latency two cycles from ``enter`` to the accumulators, three from ``load`` to ``sums``;
    throughput one vector in and ``dw_lanes`` sums out a cycle.

    Parameters
    ----------
    format : Float
        Of du.
    lanes, dw_lanes : int
        L, and sums read out a cycle; powers of two.

    Members
    -------
    enter : In(1), du : In(lanes * format.width), spikes : In(lanes)
    clear, capture : In(1)
        Of :class:`WgColumn`, the same for all columns.
    load : In(1), row : In, group : In
        Read the copies of output channel ``row`` and input channels ``group * dw_lanes`` on.
    sums : Out(signed(psum_bits)) x dw_lanes
        -2**(psum_bits-1) where a NaN or infinity took part. Held until the next ``load``.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _dw_lanes = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int, dw_lanes: int):
        super().__init__(
            {
                "enter": In(1),
                "du": In(lanes * format.width),
                "spikes": In(lanes),
                "clear": In(1),
                "capture": In(1),
                "load": In(1),
                "row": In(range(lanes)),
                "group": In(group_bits(lanes, dw_lanes)),
                "sums": Out(signed(format.psum_bits)).array(dw_lanes),
            },
            format=format,
            lanes=lanes,
            dw_lanes=dw_lanes,
        )

    def elaborate(self, platform):
        m = Module()
        takes = Signal()
        take = Signal(self._lanes)
        special = Signal(self._lanes, reset_less=True)
        fixed = []
        # A vector that no column adds stays outside.
        m.d.comb += takes.eq(self.enter & self.spikes.any())
        m.d.sync += take.eq(Mux(self.enter, self.spikes, 0))
        for lane in range(self._lanes):
            m.submodules[f"convert_{lane}"] = convert = ToFixed(format=self._format)
            value = Signal(signed(self._format.fixed_bits), name=f"fixed_{lane}", reset_less=True)
            fixed.append(value)
            m.d.comb += convert.i.eq(self.du.word_select(lane, self._format.width))
            with m.If(takes):
                m.d.sync += [value.eq(convert.o), special[lane].eq(convert.special)]

        columns = []
        for lane in range(self._lanes):
            m.submodules[f"column_{lane}"] = column = WgColumn(
                format=self._format, lanes=self._lanes
            )
            columns.append(column)
            m.d.comb += [
                column.take.eq(take[lane]),
                *(column.du[row].eq(fixed[row]) for row in range(self._lanes)),
                column.special.eq(special),
                column.clear.eq(self.clear),
                column.capture.eq(self.capture),
                column.select.eq(self.load & (self.group == lane // self._dw_lanes)),
                column.row.eq(self.row),
            ]

        # A register behind each table of six parts: the or of all of them in one cycle is what
        # mappers make half as many tables again of.
        loaded = Signal(2)
        m.d.sync += loaded.eq(Cat(self.load, loaded))
        for lane, sums in enumerate(self.sums):
            found = Signal(WgSum(self._format), name=f"found_{lane}")
            parts = [
                part.as_value() for column in columns[lane :: self._dw_lanes] for part in column.o
            ]
            joined = []
            for first in range(0, len(parts), TABLE):
                some = Signal(len(found.as_value()), name=f"joined_{lane}_{first // TABLE}")
                m.d.sync += some.eq(reduce(or_, parts[first : first + TABLE]))
                joined.append(some)
            m.d.comb += found.eq(reduce(or_, joined))
            with m.If(loaded[-1]):
                m.d.sync += sums.eq(found.sum)
                with m.If(found.special):
                    m.d.sync += sums.eq(psum_nan(self._format.psum_bits))
        return m
