"""Binary floating-point formats and the exact fixed-point grids that sums in them need."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.lib import data

__all__ = ["BINARY16", "BINARY32", "Float", "psum_nan"]

FP_TERMS_BITS = 17
"""log2 of the terms that one FP or WG sum may have (contract, points 3 and 5)."""
BP_TERMS_BITS = 15
"""log2 of the terms that one BP sum may have (contract, point 4)."""
BP_GUARD_BITS = 8
"""How far the grid of products lies below that of the format, at most (contract, point 4)."""
PSUM_BITS = 64
"""Bits of a psum lane in SRAM, whatever the format."""


def psum_nan(bits: int) -> int:
    """The reserved integer of psums of ``bits`` bits, which means NaN."""
    return -(1 << (bits - 1))


@dataclass(frozen=True)
class Float:
    """An IEEE 754 style binary format with subnormals, infinities and NaN.

    Parameters
    ----------
    exponent : int
        Bits of the exponent field, from 2.
    mantissa : int
        Bits of the stored significand, from 1; the leading bit is implied.

    Raises
    ------
    ValueError
        If a field is too small.
    """

    exponent: int
    mantissa: int

    def __post_init__(self) -> None:
        if self.exponent < 2:
            raise ValueError(f"Float.exponent must be at least 2 bits, not {self.exponent!r}")
        if self.mantissa < 1:
            raise ValueError(f"Float.mantissa must be at least 1 bit, not {self.mantissa!r}")

    def __str__(self) -> str:
        return f"e{self.exponent}m{self.mantissa}"

    @property
    def width(self) -> int:
        """Bits of a stored value: sign, exponent, mantissa."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """The exponent field of 1.0."""
        return (1 << (self.exponent - 1)) - 1

    @property
    def lsb(self) -> int:
        """log2 of the smallest subnormal: every finite value is an integer multiple of 2**lsb."""
        return 1 - self.bias - self.mantissa

    @property
    def top(self) -> int:
        """log2 of the power of two just above the largest finite value."""
        return self.bias + 1

    @property
    def nan(self) -> int:
        """Code of the one NaN that is ever made: positive and quiet."""
        return self.infinity | (1 << (self.mantissa - 1))

    @property
    def infinity(self) -> int:
        """Code of plus infinity."""
        return ((1 << self.exponent) - 1) << self.mantissa

    @property
    def one(self) -> int:
        """Code of 1.0."""
        return self.bias << self.mantissa

    @property
    def minus_zero(self) -> int:
        """Code of -0, which is the sign alone, and added to any value leaves it as it is."""
        return 1 << (self.width - 1)

    @property
    def layout(self) -> data.StructLayout:
        """The fields of a stored value, least significant first."""
        return data.StructLayout({"mantissa": self.mantissa, "exponent": self.exponent, "sign": 1})

    @property
    def fixed_bits(self) -> int:
        """Bits, with sign, of any finite value as an integer multiple of 2**lsb."""
        return self.top - self.lsb + 1

    @property
    def psum_bits(self) -> int:
        """Bits of an FP or WG sum, LSB 2**lsb, of up to 2**17 terms."""
        return self.fixed_bits + FP_TERMS_BITS

    @property
    def product_lsb(self) -> int:
        """log2 of the grid onto which BP products are truncated; exact where that is possible."""
        return max(2 * self.lsb, self.lsb - BP_GUARD_BITS)

    @property
    def product_bits(self) -> int:
        """Bits, with sign, of a BP product below 2**top on its grid."""
        return self.top - self.product_lsb + 1

    @property
    def product_psum_bits(self) -> int:
        """Bits of a BP sum, LSB 2**product_lsb, of up to 2**15 terms."""
        return self.product_bits + BP_TERMS_BITS

    def check_sums_fit(self) -> None:
        """Raise ValueError, in one sentence, if the arrays cannot sum up in this format.

        A sum may need more than 64 bits; or so few that binary32 holds more than any dw.
        """
        widest = max(self.psum_bits, self.product_psum_bits)
        if widest > PSUM_BITS:
            raise ValueError(
                f"Float({self.exponent}, {self.mantissa}) needs psums of {widest} bits, "
                f"but an array sums at most {PSUM_BITS} bits"
            )
        least = BINARY32.mantissa + 3
        if self.psum_bits < least:
            raise ValueError(
                f"Float({self.exponent}, {self.mantissa}) has psums of {self.psum_bits} bits, "
                f"but rounding to binary32 takes at least {least}"
            )


BINARY16 = Float(5, 10)
BINARY32 = Float(8, 23)
