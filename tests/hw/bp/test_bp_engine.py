"""The BP engine as Verilog: what its bench checks, at the sizes where bugs live."""

from __future__ import annotations

import pytest

from hw.arith.format import FP16, Float
from hw.bp.engine import BpEngine
from hw.conv.shape import EngineShape
from sim.harness.bench import EngineBench
from sim.harness.cosim import run
from tests.hw.conv.cases import bench_environment

DEPTHS = {"nonzero": 1024, "du": 4096, "w": 8192, "fire": 4096, "conv": 8192}


@pytest.mark.parametrize(
    ("format", "lanes", "pixels", "weight_words", "cases", "seed"),
    [
        (FP16, 4, 8, 1, 140, 1),
        (FP16, 2, 16, 2, 70, 2),
        (Float(5, 2), 4, 8, 2, 35, 3),
        (Float(4, 3), 4, 8, 1, 35, 4),
        # Full size.
        (FP16, 16, 16, 1, 5, 5),
    ],
)
def test_equals_model(format, lanes, pixels, weight_words, cases, seed):
    shape = EngineShape(format=format, lanes=lanes, pixels=pixels, weight_words=weight_words)
    print(f"seed {seed}")
    run(
        EngineBench(BpEngine(shape), DEPTHS),
        "tests.hw.bp.cocotb_bp",
        environment=bench_environment(shape, seed=seed, cases=cases),
    )
