"""Without these, a BP engine could leave out du that is not 0, or mix up the passes of a stride."""

from __future__ import annotations

import pytest

from backspike.hw.bp.engine import BpEngine
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run
from tests.hw.conv.cases import SHAPES
from tests.hw.launch import environment

DEPTHS = {"nonzero": 1024, "du": 4096, "w": 8192, "fire": 4096, "conv": 8192}


@pytest.mark.parametrize(("shape", "cases", "seed"), SHAPES)
def test_equals_model(shape, cases, seed):
    print(f"seed {seed}")
    run(
        EngineBench(BpEngine(shape), DEPTHS),
        "tests.hw.bp.cocotb_bp",
        environment=environment((shape, seed, cases)),
    )
