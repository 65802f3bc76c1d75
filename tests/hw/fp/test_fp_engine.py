"""The FP engine as Verilog: what its bench checks, at the sizes where bugs live."""

from __future__ import annotations

import pytest

from hw.arith.format import Float
from hw.conv.shape import EngineShape
from hw.fp.engine import FpEngine
from sim.harness.bench import EngineBench
from sim.harness.cosim import run
from tests.hw.conv.cases import bench_environment

DEPTHS = {"s_in": 4096, "w": 8192, "conv": 8192}

SMALL_GROUPS = EngineShape(
    format=Float(5, 2), lanes=4, pixels=8, rows=1, entries=7, depth=16, weight_words=2
)
FULL_RING = EngineShape(format=Float(4, 3), lanes=4, pixels=4, rows=16, entries=16, depth=16)


@pytest.mark.parametrize(
    ("shape", "cases", "seed"),
    [
        (EngineShape(lanes=4, pixels=8), 175, 1),
        (EngineShape(lanes=2, pixels=16, weight_words=2), 35, 2),
        # The smallest groups and ring there are, in an 8-bit format.
        (SMALL_GROUPS, 70, 3),
        # A ring that one group fills.
        (FULL_RING, 35, 4),
        # Full size.
        (EngineShape(lanes=16, pixels=16), 7, 5),
    ],
)
def test_equals_model(shape, cases, seed):
    print(f"seed {seed}")
    run(
        EngineBench(FpEngine(shape), DEPTHS),
        "tests.hw.fp.cocotb_fp",
        environment=bench_environment(shape, seed=seed, cases=cases),
    )
