"""The contract once more, as slowly and plainly as possible: loops over fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from backspike.hw.arith.format import Float
from backspike.sim.model import decode


def rng(seed):
    """A generator whose seed a failing test shows."""
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def random_values(random, shape, format, kind):
    """Value array: ``any`` code, or zeros and numbers that are ``ordinary`` or ``large``."""
    if kind == "any":
        values = decode(random.integers(0, 1 << format.width, shape), format)
    else:
        top = format.bias if kind == "ordinary" else (1 << format.exponent) - 2
        low = max(0, top - 4)
        codes = random.integers(low << format.mantissa, (top + 1) << format.mantissa, shape)
        values = decode(codes, format) * random.choice([-1.0, 1.0], shape)
    return np.where(random.random(shape) < 0.3, random.choice([0.0, -0.0], shape), values)


def power(exponent):
    """2**exponent as a fraction."""
    return Fraction(2) ** exponent


def round_fraction(x, format):
    """Nearest number of the format, ties to even, as a Python float."""
    if x == 0:
        return 0.0
    magnitude = abs(x)
    exponent = 0
    while magnitude >= power(exponent + 1):
        exponent += 1
    while magnitude < power(exponent):
        exponent -= 1
    quantum = power(max(exponent - format.mantissa, format.lsb))
    steps = round(magnitude / quantum)  # Python rounds ties to even
    value = math.inf if steps * quantum >= power(format.top) else float(steps * quantum)
    return math.copysign(value, x)


class Sum:
    """One sum of the contract, and the statuses that it sets."""

    def __init__(self):
        self.total = Fraction(0)
        self.is_nan = self.overflow = self.invalid = False

    def take(self, *operands, factor=Fraction(1), limits=None):
        """Add the product of operands; ``limits`` = (grid, bound) of BP products."""
        if not all(map(math.isfinite, operands)):
            self.is_nan = self.invalid = True
            return
        product = math.prod(map(Fraction, operands)) * factor
        if limits is not None:
            grid, bound = limits
            if abs(product) >= bound:
                self.is_nan = self.overflow = True
                return
            product = math.trunc(product / grid) * grid
        self.total += product

    def psum(self, lsb, bits):
        """The integer that an SRAM holds."""
        return -(1 << (bits - 1)) if self.is_nan else int(self.total / power(lsb))

    def rounded(self, format, scale=0):
        """RN of the sum times 2**-scale."""
        return math.nan if self.is_nan else round_fraction(self.total * power(-scale), format)


def taps(size, out, kernel, stride, start):
    """(output, input, kernel) positions along one axis."""
    return [
        (o, o * stride + k - start, k)
        for o in range(out)
        for k in range(kernel)
        if 0 <= o * stride + k - start < size
    ]


def positions(g):
    """(e, f, y, x, r, s) of everything a convolution touches."""
    vertical = taps(g.h_size, g.e_size, g.r_size, g.stride[0], g.padding[0])
    horizontal = taps(g.w_size, g.f_size, g.s_size, g.stride[1], g.padding[2])
    return [(e, f, y, x, r, s) for e, y, r in vertical for f, x, s in horizontal]


def sums(*shape):
    """An array of fresh sums."""
    return np.array([Sum() for _ in range(math.prod(shape))], dtype=object).reshape(shape)


def fp_sums(x, w, g):
    """(map, e, f, m) sums of FP."""
    out = sums(len(x), g.e_size, g.f_size, len(w))
    for e, f, y, column, r, s in positions(g):
        for n, m, c in np.ndindex(len(x), *w.shape[:2]):
            if x[n, y, column, c]:
                out[n, e, f, m].take(w[m, c, r, s], factor=Fraction(int(x[n, y, column, c])))
    return out


def bp_sums(du, w, g, format, mask):
    """(map, y, x, c) sums of BP."""
    out = sums(len(du), g.h_size, g.w_size, w.shape[1])
    limits = power(format.product_lsb), power(format.top)
    for e, f, y, x, r, s in positions(g):
        for n, m, c in np.ndindex(len(du), *w.shape[:2]):
            if du[n, e, f, m] != 0 and mask[n, y, x, c]:
                out[n, y, x, c].take(du[n, e, f, m], w[m, c, r, s], limits=limits)
    return out


def wg_sums(x, du, g):
    """(m, c, r, s) sums of WG."""
    out = sums(du.shape[-1], x.shape[-1], g.r_size, g.s_size)
    for e, f, y, column, r, s in positions(g):
        for n, m, c in np.ndindex(len(x), du.shape[-1], x.shape[-1]):
            if x[n, y, column, c]:
                out[m, c, r, s].take(du[n, e, f, m])
    return out


def each(function, array, dtype=np.float64):
    """``function`` of every element."""
    return np.array([function(item) for item in array.flat], dtype=dtype).reshape(array.shape)


def same_bits(a, b):
    """Equal as stored: +0 is not -0, and there is one NaN."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(
        np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b)
    )


FORMATS = [Float(5, 10), Float(5, 2), Float(4, 3)]
