"""Without these, a sum could be wrong in a rare bit: a tie, a cancellation, a subnormal."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.add import FloatAdd
from tests.hw.arith.operands import pairs
from tests.hw.arith.unit import BINARY16, BINARY32, EIGHT_BIT, NARROW, check, reference


@pytest.mark.parametrize("verilated", [False, True])
@pytest.mark.parametrize("format", [BINARY16, BINARY32, *EIGHT_BIT, *NARROW])
def test_add(format, verilated):
    ref, operands = reference(format), pairs(reference(format))
    wanted = ref.apply(np.add, operands["a"], operands["b"])
    check(FloatAdd(format=format), operands, wanted, verilated=verilated)
