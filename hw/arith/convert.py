"""Conversion between floating-point formats."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux
from amaranth.lib.wiring import In

from backspike.hw.arith.format import Float
from backspike.hw.arith.rounding import RoundedUnit, Rounding, bits_below
from backspike.hw.arith.unpack import unpack
from backspike.hw.component import Parameter

__all__ = ["FloatConvert"]


def exponent_offset(source: Float, target: Float) -> int:
    """Exponent field of the target, less 1, for the source's smallest normal numbers."""
    return source.lsb + source.mantissa - target.lsb - target.mantissa


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
        super().__init__({"i": In(source.width)}, source=source, target=target)

    @staticmethod
    def rounding_of(*, source: Float, target: Float) -> Rounding:
        offset = exponent_offset(source, target)
        below = bits_below(target, -offset)
        return Rounding(
            format=target,
            width=below + max(source.mantissa + 1, target.mantissa + 2),
            twos_complement=False,
            limit_max=(1 << source.exponent) - 2 + offset + below,
            longest_shift=below + source.mantissa,
        )

    def elaborate(self, platform):
        m = Module()
        parts = unpack(m, self._source, self.i)
        offset = exponent_offset(self._source, self._target)
        below = bits_below(self._target, -offset)
        limit = parts.exponent - 1 + offset + below
        least = 1 - offset - below
        if least > 1:
            limit = Mux(parts.exponent < least, 0, limit)
        significand = parts.significand
        self._round(
            m,
            value=Cat(Const(0, self._rounding.width - below - len(significand)), significand),
            limit=limit,
            negative=parts.sign,
            nan=parts.nan,
            infinite=parts.infinite,
        )
        return m
