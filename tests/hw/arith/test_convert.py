"""Without these, a stored weight could differ in a bit from its master."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.convert import FloatConvert
from tests.hw.arith.operands import corners, generator
from tests.hw.arith.unit import BINARY16, BINARY32, EIGHT_BIT, check, reference


def inputs(source, target) -> np.ndarray:
    """All codes of a format of at most 16 bits; else corners, and numbers in the target's range and
    just beyond it, many of them ties."""
    ref = reference(source)
    if ref.width <= 16:
        return np.arange(1 << ref.width)
    random, count = generator(), 400_000
    low = ref.bias + target.lsb - 3
    field = random.integers(low, ref.bias + target.top + 2, (2, count)) << ref.mantissa
    sign = random.integers(0, 2, (2, count)) * ref.minus
    mantissa = random.integers(0, 1 << ref.mantissa, (2, count))
    # Cut to a few bits, then moved to next to that.
    spare = random.integers(0, ref.mantissa, count)
    mantissa[1] = mantissa[1] >> spare << spare
    near = (sign | field | mantissa)[1] + random.integers(-1, 2, count)
    uniform = random.integers(0, 1 << ref.width, count)
    return np.concatenate([corners(ref), (sign | field | mantissa)[0], near, uniform])


@pytest.mark.parametrize("verilated", [False, True])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        (BINARY16, BINARY32),
        (BINARY32, BINARY16),
        *((BINARY32, f) for f in EIGHT_BIT),
        *((f, BINARY32) for f in EIGHT_BIT),
    ],
)
def test_convert(source, target, verilated):
    i = inputs(source, target)
    with np.errstate(invalid="ignore"):
        numbers = reference(source).values(i).astype(np.float64)
    ref = reference(target)
    wanted = ref.result(ref.codes(numbers), numbers)
    check(FloatConvert(source=source, target=target), {"i": i}, wanted, verilated=verilated)
