"""Element by element references of the lanes, from numpy's float16 and Python's integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from backspike.hw.isa.neuron.command import Operation, Source

NAN = 0x7E00
CORNERS = [0, 1, 2, 0x03FF, 0x0400, 0x0401, 0x3BFF, 0x3C00, 0x3C01, 0x4000, 0x5BFF, 0x7800]
CORNERS += [0x7BFE, 0x7BFF, 0x7C00, 0x7C01, NAN]
CORNERS += [code | 0x8000 for code in CORNERS]
"""Zeros, subnormals, powers of two and their neighbours, largest values, infinities, NaNs."""


@dataclass
class Raised:
    """The statuses that one element sets."""

    overflow: bool = False
    invalid: bool = False

    def note(self, a: float, b: float, result: np.float16) -> None:
        """Statuses of the operation that made ``result`` of ``a`` and ``b``."""
        finite = math.isfinite(a) and math.isfinite(b)
        self.overflow |= bool(np.isinf(result)) and finite
        self.invalid |= bool(np.isnan(result))


def value(code: int) -> np.float16:
    return np.uint16(code).view(np.float16)


def code(number) -> int:
    number = np.float16(number)
    return NAN if np.isnan(number) else int(number.view(np.uint16))


def operate(operation: Operation, a, b, raised: Raised) -> np.float16:
    """One rounded operation of two binary16 values."""
    with np.errstate(all="ignore"):
        result = {
            Operation.ADD: np.add,
            Operation.SUBTRACT: np.subtract,
            Operation.MULTIPLY: np.multiply,
        }[operation](np.float16(a), np.float16(b))
    raised.note(float(a), float(b), result)
    return result


def read_psum(psum: int, bits: int, lsb: int, raised: Raised) -> np.float16:
    """RN16(psum * 2**lsb), from exact integers."""
    if psum == -(1 << (bits - 1)):
        raised.invalid = True
        return np.float16(np.nan)
    magnitude, exponent = abs(psum), lsb
    while magnitude.bit_length() > 40:  # rounding to odd leaves the rounding that follows as it is
        magnitude = (magnitude >> 1) | (magnitude & 1)
        exponent += 1
    with np.errstate(over="ignore"):
        result = np.float16(math.copysign(math.ldexp(magnitude, exponent), psum))
    raised.overflow |= bool(np.isinf(result))
    return result


def vector(operation, x, y, sources, low, high, raised):
    """Result of a vector operation, value and bit; ``sources`` maps each Source to its value."""
    a = sources[x](raised)
    if operation is Operation.COMPARE:
        return a, bool(low <= a <= high)
    b = sources[y](raised) if y is not x else a
    return operate(operation, a, b, raised), False


def soma(psum16, u, bit, *, t_acc, alpha, th_f, raised):
    """(u, s) of a neuron's step."""
    carried = np.float16(0)
    if t_acc and not bit:
        carried = operate(Operation.MULTIPLY, alpha, u, raised)
    u = operate(Operation.ADD, carried, psum16, raised)
    return u, bool(u >= th_f)


def grad(psum16, u, du_next, *, t_acc, alpha, th_f, th_l, th_r, raised):
    """du of a neuron's step; ``psum16`` is +0 already where pooling sends it elsewhere."""
    s, fire = bool(u >= th_f), bool(th_l <= u <= th_r)
    p = q = ds = np.float16(0)
    if t_acc:
        # What is deselected sets no status.
        p = operate(Operation.MULTIPLY, alpha, du_next, Raised() if s and not fire else raised)
        q = operate(Operation.MULTIPLY, p, u, raised if fire else Raised())
    if fire:
        ds = operate(Operation.SUBTRACT, psum16, q, raised)
    return operate(Operation.ADD, np.float16(0) if s else p, ds, raised)


__all__ = [
    "CORNERS",
    "Raised",
    "Source",
    "code",
    "grad",
    "operate",
    "read_psum",
    "soma",
    "value",
    "vector",
]
