"""Numbers of the contract: rounding, statuses, codes, and the integers that sums are.

A *value array* is a numpy float64 array whose elements are numbers of a
:class:`~backspike.hw.arith.format.Float` format (zeros with sign, subnormals, infinities), or NaN.
Sums and products of two such numbers are exact in float64, so an element-wise operation is: compute
in float64, then round once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backspike.hw.arith.format import BINARY16, BINARY32, Float, psum_nan

__all__ = [
    "Bits",
    "Codes",
    "Integers",
    "Status",
    "Values",
    "decode",
    "encode",
    "psum_nan",
    "read_psum",
    "round_values",
    "settle",
    "to_psum",
]

Values = NDArray[np.float64]
Integers = NDArray[np.int64]
Bits = NDArray[np.bool_]
Codes = NDArray[np.unsignedinteger[Any]]

FLOAT64_BITS = 53
"""Every integer of up to this many bits is a float64."""


@dataclass
class Status:
    """Sticky statuses (contract, point 1): operations set them, nothing but ``clear`` resets them.

    Functions of the model that can set a status take one as ``status`` and add to it.
    """

    overflow: bool = False
    """Finite operands gave an infinity, or a BP product lies off the grid."""
    invalid: bool = False
    """A NaN was made or read, or took part in a sum; in sums, an infinity too."""

    def __bool__(self) -> bool:
        return self.overflow or self.invalid

    def add(self, *, overflow: Any = False, invalid: Any = False) -> None:
        """Set what is true of scalars, or anywhere in boolean arrays."""
        self.overflow |= bool(np.any(overflow))
        self.invalid |= bool(np.any(invalid))

    def clear(self) -> None:
        """Reset both, as a chip does at the start of a batch."""
        self.overflow = self.invalid = False


def round_values(exact: ArrayLike, format: Float = BINARY16) -> Values:
    """Round float64 numbers to ``format``: nearest, ties to even; beyond its range, infinity."""
    exact = np.asarray(exact, dtype=np.float64)
    with np.errstate(over="ignore"):
        if format == BINARY16:
            return exact.astype(np.float16).astype(np.float64)
        if format == BINARY32:
            return exact.astype(np.float32).astype(np.float64)
    quantum = _quantum(exact, format)
    rounded = np.copysign(np.ldexp(np.rint(np.ldexp(exact, -quantum)), quantum), exact)
    return np.where(np.abs(rounded) >= 2.0**format.top, np.copysign(np.inf, exact), rounded)


def _quantum(exact: Values, format: Float) -> NDArray[np.intc]:
    """log2 of the distance between numbers of ``format`` where each of ``exact`` lies."""
    exponent = np.frexp(np.where(np.isfinite(exact), exact, 0.0))[1]
    return np.where(exact == 0, format.lsb, np.maximum(exponent - 1 - format.mantissa, format.lsb))


def settle(exact: ArrayLike, format: Float, status: Status, used: Bits | None = None) -> Values:
    """Round the results of an element-wise operation and note overflow (made) and NaN (any).

    Only results that are ``used`` (None for all) set statuses.
    """
    exact = np.asarray(exact, dtype=np.float64)
    result = round_values(exact, format)
    special = ~np.isfinite(result)
    if special.any():
        special = special if used is None else special & used
        status.add(overflow=special & np.isfinite(exact), invalid=special & np.isnan(result))
    return result


def encode(values: ArrayLike, format: Float = BINARY16) -> Codes:
    """Codes of a value array: uint8, uint16 or uint32 as fits; every NaN becomes ``format.nan``.

    Raises
    ------
    ValueError
        If a value is not a number of ``format``.
    """
    values = np.asarray(values, dtype=np.float64)
    wrong = ~((round_values(values, format) == values) | np.isnan(values))
    if wrong.any():
        raise ValueError(
            f"values must be numbers of the format {format}, not {float(values[wrong][0])!r}"
        )
    finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    quantum = _quantum(finite, format)
    # With the leading bit counted in, the exponent field of a normal number is one less.
    codes = np.ldexp(finite, -quantum).astype(np.int64)
    codes += (quantum.astype(np.int64) - format.lsb) << format.mantissa
    codes = np.where(np.isinf(values), format.infinity, codes)
    codes |= np.signbit(values).astype(np.int64) << (format.width - 1)
    codes = np.where(np.isnan(values), format.nan, codes)
    return codes.astype(np.min_scalar_type((1 << format.width) - 1))


def decode(codes: ArrayLike, format: Float = BINARY16) -> Values:
    """Value array of integer codes; inverse of :func:`encode` but for NaNs."""
    codes = np.asarray(codes).astype(np.int64)
    if codes.size and not (codes.min() >= 0 and codes.max() < 1 << format.width):
        raise ValueError(
            f"codes of the format {format} must be from 0 to {(1 << format.width) - 1}, "
            f"not {int(codes.min())} to {int(codes.max())}"
        )
    if format.width <= 16:
        return _decode_table(format)[codes]
    return _decode(codes, format)


@lru_cache
def _decode_table(format: Float) -> Values:
    return _decode(np.arange(1 << format.width), format)


def _decode(codes: Integers, format: Float) -> Values:
    mantissa = codes & ((1 << format.mantissa) - 1)
    exponent = (codes >> format.mantissa) & ((1 << format.exponent) - 1)
    significand = mantissa + (np.minimum(exponent, 1) << format.mantissa)
    values = np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - 1 + format.lsb)
    values = np.where(exponent == (1 << format.exponent) - 1, np.inf, values)
    values = np.where(codes >> (format.width - 1), -values, values)
    is_nan = (exponent == (1 << format.exponent) - 1) & (mantissa != 0)
    return np.where(is_nan, np.nan, values)


def read_psum(
    psum: Integers,
    *,
    lsb: int,
    bits: int,
    status: Status,
    scale: int = 0,
    format: Float = BINARY16,
) -> Values:
    """What Soma, Grad, vector units and WG's readout read: RN(psum * 2**(lsb - scale)).

    The reserved integer reads as NaN and sets invalid; an exact zero is +0; a non-zero psum that
    rounds to zero keeps its sign.
    """
    is_nan = psum == psum_nan(bits)
    psum = np.where(is_nan, 0, psum)
    exact = np.abs(psum)
    if exact.max(initial=0) >> FLOAT64_BITS:
        # Low bits of a large psum are gathered in one (rounding to odd): it then is a float64, and
        # lies as the exact psum does to every tie of the narrower format.
        low = 63 - FLOAT64_BITS + 1
        odd = ((exact >> low) | ((exact & ((1 << low) - 1)) != 0)) << low
        exact = np.where(exact >> FLOAT64_BITS, odd, exact)
    values = np.ldexp(np.copysign(exact, np.where(psum < 0, -1.0, 1.0)), lsb - scale)
    return settle(np.where(is_nan, np.nan, values), format, status)


def to_psum(values: Values, *, lsb: int, bits: int) -> Integers:
    """What vector units write to a conv SRAM: NaN and infinity as the reserved integer.

    +-0 becomes 0. Sets no status: reading the reserved integer will. ``lsb`` must be at most that
    of the values' format.
    """
    finite = np.isfinite(values)
    integers = np.ldexp(np.where(finite, values, 0.0), -lsb).astype(np.int64)
    return np.where(finite, integers, psum_nan(bits))
