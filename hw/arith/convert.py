"""Conversion between floating-point formats."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux
from amaranth.lib.wiring import In

from backspike.hw.arith.format import Float
from backspike.hw.arith.rounding import RoundedUnit, Rounding
from backspike.hw.arith.unpack import unpack
from backspike.hw.component import Parameter

__all__ = ["FloatConvert"]


class FloatConvert(RoundedUnit):
    """A number of one format as a number of another, rounded to nearest, ties to even.

    NaN gives the one NaN of the target, with ``invalid``; infinities stay infinities; a finite
    number that becomes one sets ``overflow``.

    Parameters
    ----------
    source, target : Float

    Members
    -------
    i : In(source.width)
        For the others see :class:`backspike.hw.arith.rounding.RoundedUnit`.
    """

    _source = Parameter[Float]()
    _target = Parameter[Float]()

    def __init__(self, *, source: Float, target: Float):
        # Exponent field of the target, less 1, for the source's smallest normal numbers.
        self._offset = source.lsb + source.mantissa - target.lsb - target.mantissa
        # Numbers too small for the target start out this far below the topmost bit; farther down
        # they are as good as zero.
        self._below = min(max(-self._offset, 0), target.mantissa + 2)
        self._width = self._below + max(source.mantissa + 1, target.mantissa + 2)
        limit_max = (1 << source.exponent) - 2 + self._offset + self._below
        rounding = Rounding(
            format=target,
            width=self._width,
            twos_complement=False,
            limit_max=limit_max,
            longest_shift=self._below + source.mantissa,
        )
        super().__init__({"i": In(source.width)}, rounding, source=source, target=target)

    def elaborate(self, platform):
        m = Module()
        parts = unpack(m, self._source, self.i)
        limit = parts.exponent - 1 + self._offset + self._below
        least = 1 - self._offset - self._below
        if least > 1:
            limit = Mux(parts.exponent < least, 0, limit)
        significand = parts.significand
        below = self._width - self._below - len(significand)
        self._round(
            m,
            value=Cat(Const(0, below), significand),
            limit=limit,
            negative=parts.sign,
            nan=parts.nan,
            infinite=parts.infinite,
        )
        return m
