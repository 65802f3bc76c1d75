"""What the arithmetic units must answer, from numpy; no code is shared with ``hw``.

Codes are int64 arrays. A :class:`Reference` of 5+10 or 8+23 bits computes in numpy's own float16
or float32; one of another format, whose values and exact sums and products are float64 numbers,
computes in float64 and rounds once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NATIVE = {(5, 10): (np.float16, np.uint16), (8, 23): (np.float32, np.uint32)}
INTEGER_BITS = 53
"""A float64 holds every integer of this many bits."""


@dataclass(frozen=True)
class Reference:
    """A format with an exponent field and a mantissa field of so many bits."""

    exponent: int
    mantissa: int

    @property
    def width(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def minus(self) -> int:
        """The sign bit."""
        return 1 << (self.exponent + self.mantissa)

    @property
    def infinity(self) -> int:
        return self.minus - (1 << self.mantissa)

    @property
    def nan(self) -> int:
        return self.infinity + (1 << (self.mantissa - 1))

    @property
    def bias(self) -> int:
        return (1 << (self.exponent - 1)) - 1

    @property
    def smallest(self) -> int:
        """log2 of the smallest subnormal."""
        return 1 - self.bias - self.mantissa

    @cached_property
    def magnitudes(self) -> np.ndarray:
        """All numbers from zero to the largest finite one, by code; not for wide formats."""
        code = np.arange(self.infinity)
        field, stored = code >> self.mantissa, code & ((1 << self.mantissa) - 1)
        units = np.where(field == 0, stored, stored + (1 << self.mantissa))
        return np.ldexp(units.astype(np.float64), self.smallest + np.maximum(field - 1, 0))

    def values(self, codes) -> np.ndarray:
        """The numbers that codes stand for: native if numpy has them, else float64."""
        codes = np.asarray(codes)
        native = NATIVE.get((self.exponent, self.mantissa))
        if native:
            return codes.astype(native[1]).view(native[0])
        size = codes & (self.minus - 1)
        number = self.magnitudes[np.minimum(size, self.infinity - 1)]
        number = np.where(size == self.infinity, np.inf, number)
        number = np.where(size > self.infinity, np.nan, number)
        return np.where(codes & self.minus, -number, number)

    def codes(self, values) -> np.ndarray:
        """Codes of the numbers nearest to ``values``, ties to even; NaN has one code."""
        native = NATIVE.get((self.exponent, self.mantissa))
        with np.errstate(all="ignore"):
            if native:
                codes = values.astype(native[0]).view(native[1]).astype(np.int64)
            else:
                codes = self._search(np.abs(values)) | np.where(np.signbit(values), self.minus, 0)
        return np.where(np.isnan(values), self.nan, codes)

    def _search(self, sizes: np.ndarray) -> np.ndarray:
        """Codes of non-negative numbers: found between two neighbours, not computed."""
        above_all = 2 * self.magnitudes[-1] - self.magnitudes[-2]
        numbers = np.append(self.magnitudes, above_all)
        upper = np.clip(np.searchsorted(numbers, sizes), 1, self.infinity)
        to_lower, to_upper = sizes - numbers[upper - 1], numbers[upper] - sizes
        takes_upper = (to_upper < to_lower) | ((to_upper == to_lower) & (upper % 2 == 0))
        return np.where(takes_upper | (sizes >= above_all), upper, upper - 1)

    def apply(self, operation, *operands) -> dict[str, np.ndarray]:
        """Code and statuses of a numpy ufunc applied to codes."""
        numbers = [self.values(operand) for operand in operands]
        with np.errstate(all="ignore"):
            return self.result(self.codes(operation(*numbers)), *numbers)

    def result(self, codes, *numbers) -> dict[str, np.ndarray]:
        """``codes`` with the statuses that they set as results of ``numbers``."""
        size = codes & (self.minus - 1)
        finite = np.all([np.isfinite(number) for number in numbers], axis=0)
        return {
            "o": codes,
            "overflow": ((size == self.infinity) & finite).astype(np.int64),
            "invalid": (size > self.infinity).astype(np.int64),
        }

    def rounded(self, integers, exponents) -> np.ndarray:
        """Codes of the numbers nearest to ``integers * 2**exponents``, ties to even.

        Integers that a float64 does not hold lose their lowest bits to one that tells whether they
        were 0, which leaves them on the same side of every number and every tie.
        """
        integers = np.asarray(integers)
        size = np.abs(integers)
        spare = 63 - INTEGER_BITS
        odd = size & ((1 << spare) - 1) != 0
        shortened = ((size >> spare) | odd) << spare
        size = np.where(size >> INTEGER_BITS, shortened, size).astype(np.float64)
        return self.codes(np.ldexp(np.where(integers < 0, -size, size), exponents))


def unlike(got: dict, wanted: dict, operands: dict, limit: int = 5) -> str:
    """Nothing if all results are as wanted; else how many are not, and the first few of them."""
    lines = []
    for name, values in wanted.items():
        bad = np.flatnonzero(got[name] != values)
        if len(bad):
            lines.append(f"{name}: {len(bad)} of {len(values)} differ")
        for i in bad[:limit]:
            inputs = ", ".join(f"{port}={int(column[i]):#x}" for port, column in operands.items())
            lines.append(f"  {inputs}: {int(got[name][i]):#x}, not {int(values[i]):#x}")
    return "\n".join(lines)
