"""Without these, a product could be wrong in a rare bit: a tie, an overflow, a subnormal."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.multiply import FloatMultiply
from tests.hw.arith.operands import pairs
from tests.hw.arith.unit import BINARY16, BINARY32, EIGHT_BIT, NARROW, check, reference


@pytest.mark.parametrize("verilated", [False, True])
@pytest.mark.parametrize("format", [BINARY16, BINARY32, *EIGHT_BIT, *NARROW])
def test_multiply(format, verilated):
    ref, operands = reference(format), pairs(reference(format))
    wanted = ref.apply(np.multiply, operands["a"], operands["b"])
    check(FloatMultiply(format=format), operands, wanted, verilated=verilated)
