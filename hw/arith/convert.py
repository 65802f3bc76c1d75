"""Conversion between floating-point formats."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux
from amaranth.lib.wiring import In, Out

from hw.arith.format import Float
from hw.arith.rounding import Rounding
from hw.arith.unpack import unpack
from hw.component import EmitOnce

__all__ = ["FloatConvert"]


class FloatConvert(EmitOnce):
    """A number of one format as a number of another, rounded to nearest, ties to even.

    NaN gives the one NaN of the target, with ``invalid``; infinities stay infinities; a finite
    number that becomes one sets ``overflow``.

    Latency is :attr:`latency` cycles; throughput one value a cycle.

    Parameters
    ----------
    source, target : Float

    Members
    -------
    i : In(source.width)
    o : Out(target.width)
    overflow, invalid : Out(1)
    """

    def __init__(self, *, source: Float, target: Float):
        self._source = source
        self._target = target
        # Exponent field of the target, less 1, for the source's smallest normal numbers.
        self._offset = source.lsb + source.mantissa - target.lsb - target.mantissa
        # Numbers too small for the target start out this far below the topmost bit; farther down
        # they are as good as zero.
        self._below = min(max(-self._offset, 0), target.mantissa + 2)
        self._width = self._below + max(source.mantissa + 1, target.mantissa + 2)
        limit_max = (1 << source.exponent) - 2 + self._offset + self._below
        self._rounding = Rounding(
            format=target,
            width=self._width,
            twos_complement=False,
            limit_max=limit_max,
            longest_shift=self._below + source.mantissa,
        )
        super().__init__(
            {
                "i": In(source.width),
                "o": Out(target.width),
                "overflow": Out(1),
                "invalid": Out(1),
            },
            source=source,
            target=target,
        )

    @property
    def latency(self) -> int:
        """Cycles from ``i`` to ``o``."""
        return self._rounding.latency

    def elaborate(self, platform):
        m = Module()
        parts = unpack(m, self._source, self.i)
        limit = parts.exponent - 1 + self._offset + self._below
        least = 1 - self._offset - self._below
        if least > 1:
            limit = Mux(parts.exponent < least, 0, limit)
        significand = parts.significand
        below = self._width - self._below - len(significand)
        rounded = self._rounding.build(
            m,
            value=Cat(Const(0, below), significand),
            limit=limit,
            negative=parts.sign,
            nan=parts.nan,
            infinite=parts.infinite,
        )
        m.d.comb += [
            self.o.eq(rounded.code),
            self.overflow.eq(rounded.overflow),
            self.invalid.eq(rounded.invalid),
        ]
        return m
