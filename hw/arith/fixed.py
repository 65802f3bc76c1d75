"""Between numbers of a format and exact integers on its grid (contract, points 3 to 5)."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed
from amaranth.lib.wiring import In, Out

from backspike.hw.arith.format import Float
from backspike.hw.arith.rounding import RoundedUnit, Rounding
from backspike.hw.arith.unpack import unpack
from backspike.hw.component import EmitOnce, Parameter

__all__ = ["RoundFixed", "ToFixed"]


class ToFixed(EmitOnce):
    """A finite value as an integer multiple of 2**format.lsb, exactly.

    o = i / 2**format.lsb; 0 with ``special`` where ``i`` is NaN or infinite.

    Combinational.

    Parameters
    ----------
    format : Float

    Members
    -------
    i : In(format.width)
    o : Out(signed(format.fixed_bits))
    special : Out(1)
    """

    latency = 0
    """Cycles from ``i`` to ``o``."""

    _format = Parameter[Float]()

    def __init__(self, *, format: Float):
        super().__init__(
            {
                "i": In(format.width),
                "o": Out(signed(format.fixed_bits)),
                "special": Out(1),
            },
            format=format,
        )

    def elaborate(self, platform):
        m = Module()
        fmt = self._format
        parts = unpack(m, fmt, self.i)
        # The significand is negated, or made 0, before it is shifted, where it is narrow.
        significand = Signal.like(parts.significand)
        negative = Signal()
        with m.If(~self.special):
            m.d.comb += [significand.eq(parts.significand), negative.eq(parts.sign)]
        flipped = significand ^ negative.replicate(len(significand))
        shifted = Signal(signed(len(significand) + 1))
        m.d.comb += [
            self.special.eq(parts.nan | parts.infinite),
            shifted.eq(Cat(flipped, negative) + negative),
            # The least exponent is 1, and shifts by nothing.
            self.o.eq((shifted << parts.exponent) >> 1),
        ]
        return m


class RoundFixed(RoundedUnit):
    """An integer on a grid, rounded to the nearest number of a format, ties to even.

    o = RN(i * 2**(lsb - scale))

    Zero gives +0; other values that round to zero keep their sign; values that round beyond the
    largest finite number give an infinity with ``overflow``. The most negative integer stands for
    NaN and gives NaN with ``invalid``.

    Parameters
    ----------
    width : int
        Bits of the integer, with its sign.
    lsb : int
        log2 of the grid for a scale of 0.
    format : Float
        Of the result.
    scale_bits : int
        Bits of ``scale``; 0 for no such port.

    Members
    -------
    i : In(signed(width))
    scale : In(scale_bits)
        Only with scale_bits > 0; belongs to the ``i`` of the same cycle.
        For the others see :class:`backspike.hw.arith.rounding.RoundedUnit`.

    Raises
    ------
    ValueError
        If the integer is too narrow for what the unit does with it.
    """

    _scale_bits = Parameter[int]()

    def __init__(self, *, width: int, lsb: int, format: Float, scale_bits: int = 0):
        if scale_bits < 0:
            raise ValueError(f"RoundFixed.scale_bits must be at least 0, not {scale_bits!r}")
        scale_max = (1 << scale_bits) - 1
        least = max(format.mantissa + 3, format.mantissa + format.lsb - lsb + 2 + scale_max)
        if width < least:
            raise ValueError(
                f"RoundFixed.width must be at least {least} bits for these parameters, "
                f"not {width!r}"
            )
        operands = {"i": In(signed(width))}
        if scale_bits:
            operands["scale"] = In(scale_bits)
        super().__init__(operands, width=width, lsb=lsb, format=format, scale_bits=scale_bits)

    @staticmethod
    def rounding_of(*, width: int, lsb: int, format: Float, scale_bits: int = 0) -> Rounding:
        return Rounding(
            format=format,
            width=width - 1,
            twos_complement=True,
            limit_max=width - 2 - (format.mantissa + format.lsb - lsb),
            longest_shift=width - 1,
        )

    def elaborate(self, platform):
        m = Module()
        negative, limit = self.i[-1], self._rounding.limit_max
        self._round(
            m,
            value=self.i,
            limit=limit - self.scale if self._scale_bits else limit,
            negative=negative,
            nan=negative & ~self.i[:-1].any(),
            infinite=0,
        )
        return m
