"""Without these, a comparison with NaN, or of zeros, could fire a neuron."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.compare import FloatCompare
from tests.hw.arith.operands import pairs
from tests.hw.arith.unit import BINARY16, EIGHT_BIT, check, reference

OPERATIONS = {"lt": np.less, "le": np.less_equal, "eq": np.equal}


@pytest.mark.parametrize("verilated", [False, True])
@pytest.mark.parametrize("format", [BINARY16, *EIGHT_BIT])
def test_compare(format, verilated):
    ref, operands = reference(format), pairs(reference(format))
    a, b = ref.values(operands["a"]), ref.values(operands["b"])
    wanted = {name: compare(a, b).astype(np.int64) for name, compare in OPERATIONS.items()}
    check(FloatCompare(format=format), operands, wanted, verilated=verilated)
