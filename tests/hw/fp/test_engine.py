"""Without these, an FP engine could shift a plane wrongly, or write outside the rows of a strip."""

from __future__ import annotations

import pytest

from backspike.hw.fp.engine import FpEngine
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run
from tests.hw.conv.cases import SHAPES
from tests.hw.launch import environment

DEPTHS = {"s_in": 4096, "w": 8192, "conv": 8192}


@pytest.mark.parametrize(("shape", "cases", "seed"), SHAPES)
def test_equals_model(shape, cases, seed):
    print(f"seed {seed}")
    run(
        EngineBench(FpEngine(shape), DEPTHS),
        "tests.hw.fp.cocotb_fp",
        environment=environment((shape, seed, cases)),
    )
