"""Floating-point multiplication."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import In

from backspike.hw.arith.format import Float
from backspike.hw.arith.rounding import RoundedUnit, Rounding, bits_below
from backspike.hw.arith.unpack import delayed, unpack
from backspike.hw.component import Parameter

__all__ = ["FloatMultiply"]

PRODUCT_CYCLES = 2
"""From the operands to the product: a register on either side of the multiplier."""


class FloatMultiply(RoundedUnit):
    """o = RN(a * b) as IEEE 754 has it.

    Parameters
    ----------
    format : Float

    Members
    -------
    a, b : In(format.width)
        For the others see :class:`backspike.hw.arith.rounding.RoundedUnit`.
    """

    cycles = PRODUCT_CYCLES

    _format = Parameter[Float]()

    def __init__(self, *, format: Float):
        super().__init__({"a": In(format.width), "b": In(format.width)}, format=format)

    @staticmethod
    def rounding_of(*, format: Float) -> Rounding:
        below = bits_below(format, format.bias - 2)
        return Rounding(
            format=format,
            width=below + 2 * format.mantissa + 2,
            twos_complement=False,
            limit_max=2 * ((1 << format.exponent) - 2) - format.bias + below,
            # Two subnormal operands make a product that needs no shift at all.
            longest_shift=below + format.mantissa + 1,
        )

    def elaborate(self, platform):
        m = Module()
        fmt = self._format
        below = bits_below(fmt, fmt.bias - 2)
        a, b = unpack(m, fmt, self.a), unpack(m, fmt, self.b)
        zero = Signal()
        nan, infinite, negative = Signal(), Signal(), Signal()
        m.d.comb += [
            zero.eq(~a.significand.any() | ~b.significand.any()),
            infinite.eq(a.infinite | b.infinite),
            nan.eq(a.nan | b.nan | (infinite & zero)),
            negative.eq(a.sign ^ b.sign),
        ]
        factors = [
            delayed(m, parts.significand, 1, f"significand_{name}")
            for name, parts in (("a", a), ("b", b))
        ]
        product = Signal(2 * fmt.mantissa + 2, reset_less=True)
        m.d.sync += product.eq(factors[0] * factors[1])

        total = Signal(signed(fmt.exponent + 3), reset_less=True)
        limit = Signal(range(self._rounding.limit_max + 1), reset_less=True)
        m.d.sync += [
            total.eq(a.exponent + b.exponent - fmt.bias + below),
            limit.eq(Mux(total < 0, 0, total)),
        ]
        self._round(
            m,
            value=Cat(product, Const(0, below)),
            limit=limit,
            negative=delayed(m, negative, PRODUCT_CYCLES, "negative"),
            nan=delayed(m, nan, PRODUCT_CYCLES, "nan"),
            infinite=delayed(m, infinite, PRODUCT_CYCLES, "infinite"),
        )
        return m
