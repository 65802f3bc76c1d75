"""Floating-point addition."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from backspike.hw.arith.format import Float
from backspike.hw.arith.rounding import DIGIT_BITS, RoundedUnit, Rounding
from backspike.hw.arith.unpack import Parts, delayed, unpack
from backspike.hw.component import Parameter

__all__ = ["FloatAdd"]

SUM_CYCLES = 3
"""From the operands to their sum: put in order, align, add."""
EXTRA_BITS = 3
"""Bits of the aligned smaller operand below the larger: guard, round, sticky."""


class FloatAdd(RoundedUnit):
    """o = RN(a + b) as IEEE 754 has it; flip the sign bit of ``b`` to subtract.

    Parameters
    ----------
    format : Float

    Members
    -------
    a, b : In(format.width)
        For the others see :class:`backspike.hw.arith.rounding.RoundedUnit`.
    """

    cycles = SUM_CYCLES

    _format = Parameter[Float]()

    def __init__(self, *, format: Float):
        super().__init__({"a": In(format.width), "b": In(format.width)}, format=format)

    @staticmethod
    def rounding_of(*, format: Float) -> Rounding:
        width = 1 + format.mantissa + 1 + EXTRA_BITS
        return Rounding(
            format=format,
            width=width,
            twos_complement=False,
            limit_max=(1 << format.exponent) - 1,
            longest_shift=width - 1,
        )

    def elaborate(self, platform):
        m = Module()
        fmt = self._format
        a, b = unpack(m, fmt, self.a), unpack(m, fmt, self.b)

        # Put in order of magnitude.
        swap, subtract, nan = Signal(), Signal(), Signal()
        m.d.comb += [
            swap.eq(self.a[:-1] < self.b[:-1]),
            subtract.eq(a.sign ^ b.sign),
            nan.eq(a.nan | b.nan | (a.infinite & b.infinite & subtract)),
        ]
        large = Signal(Parts(fmt), reset_less=True)
        small = Signal(fmt.mantissa + 1, reset_less=True)
        distance = Signal(fmt.exponent, reset_less=True)
        negative = Signal(reset_less=True)
        m.d.sync += [
            large.eq(Mux(swap, b, a)),
            small.eq(Mux(swap, a.significand, b.significand)),
            distance.eq(Mux(swap, b.exponent - a.exponent, a.exponent - b.exponent)),
            # What cancels is +0.
            negative.eq(Mux(swap, b.sign, a.sign & ~(subtract & (self.a[:-1] == self.b[:-1])))),
        ]

        # Align the smaller; what leaves the window is gathered in its lowest bit.
        aligned = self._align(m, small, distance)
        addend = Signal(fmt.mantissa + 1 + EXTRA_BITS, reset_less=True)
        m.d.sync += addend.eq(aligned)
        augend = delayed(m, large.significand, 1, "augend")

        # Add.
        minus = delayed(m, subtract, 2, "subtract")
        total = Signal(1 + fmt.mantissa + 1 + EXTRA_BITS, reset_less=True)
        # One adder does both: below the lowest bits, minus + minus carries the 1 of ~addend + 1.
        extended = Cat(minus, addend ^ minus.replicate(len(addend)), minus)
        m.d.sync += total.eq((Cat(minus, Const(0, EXTRA_BITS), augend) + extended)[1:])

        self._round(
            m,
            value=total,
            limit=delayed(m, large.exponent, SUM_CYCLES - 1, "exponent"),
            negative=delayed(m, negative, SUM_CYCLES - 1, "negative"),
            nan=delayed(m, nan, SUM_CYCLES, "nan"),
            infinite=delayed(m, large.infinite, SUM_CYCLES - 1, "infinite"),
        )
        return m

    def _align(self, m: Module, small: Signal, distance: Signal) -> Signal:
        """``small`` with EXTRA_BITS more bits below, moved down by ``distance`` places."""
        fmt = self._format
        width = fmt.mantissa + 1 + EXTRA_BITS
        bits = min(bits_for(width - 2), fmt.exponent)
        value = Cat(Const(0, EXTRA_BITS), small)
        for low in reversed(range(0, bits, DIGIT_BITS)):
            digit = distance[low : min(low + DIGIT_BITS, bits)]
            moved = Signal(width, name=f"aligned{low}")
            with m.Switch(digit):
                for count in range(1 << len(digit)):
                    # The lowest bit that stays also stands for those that leave.
                    lowest = min((count << low) + 1, width)
                    kept = Cat(value[:lowest].any(), value[lowest:])
                    with m.Case(count):
                        m.d.comb += moved.eq(kept)
            value = moved
        aligned = Signal(width)
        # Farther down, it is less than half of what would change the larger even at a power of two.
        with m.If(~distance[bits:].any()):
            m.d.comb += aligned.eq(value)
        return aligned
