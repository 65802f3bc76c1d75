"""Floating-point comparison."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from backspike.hw.arith.format import Float
from backspike.hw.arith.unpack import unpack
from backspike.hw.component import EmitOnce, Parameter

__all__ = ["FloatCompare"]


class FloatCompare(EmitOnce):
    """a < b, a <= b, a == b as IEEE 754 has it: none with a NaN, and -0 equals +0.

    Combinational.

    Parameters
    ----------
    format : Float

    Members
    -------
    a, b : In(format.width)
    lt, le, eq : Out(1)
    """

    latency = 0
    """Cycles from ``a`` and ``b`` to the results."""

    _format = Parameter[Float]()

    def __init__(self, *, format: Float):
        super().__init__(
            {
                "a": In(format.width),
                "b": In(format.width),
                "lt": Out(1),
                "le": Out(1),
                "eq": Out(1),
            },
            format=format,
        )

    def elaborate(self, platform):
        m = Module()
        a, b = unpack(m, self._format, self.a), unpack(m, self._format, self.b)
        ordered, zeros, same, below = Signal(), Signal(), Signal(), Signal()
        magnitude_a, magnitude_b = self.a[:-1], self.b[:-1]
        m.d.comb += [
            ordered.eq(~a.nan & ~b.nan),
            zeros.eq(~Cat(magnitude_a, magnitude_b).any()),
            same.eq(magnitude_a == magnitude_b),
            below.eq(magnitude_a < magnitude_b),
            self.eq.eq(ordered & (zeros | (same & (a.sign == b.sign)))),
            self.le.eq(self.lt | self.eq),
        ]
        with m.If(ordered & ~zeros):
            with m.If(a.sign != b.sign):
                m.d.comb += self.lt.eq(a.sign)
            with m.Elif(a.sign):
                m.d.comb += self.lt.eq(~below & ~same)
            with m.Else():
                m.d.comb += self.lt.eq(below)
        return m
