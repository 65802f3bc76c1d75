"""The BP engine as Verilog: what its bench checks, at the sizes where bugs live."""

from __future__ import annotations

import pytest

from hw.arith.format import FP16, Float
from hw.bp.engine import BpEngine
from sim.harness.bench import EngineBench
from sim.harness.cosim import run

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
    engine = BpEngine(
        format=format,
        lanes=lanes,
        pixels=pixels,
        rows=8,
        entries=18,
        depth=32,
        weight_words=weight_words,
    )
    print(f"seed {seed}")
    run(
        EngineBench(engine, DEPTHS),
        "tests.hw.bp.cocotb_bp",
        environment={
            "BENCH_LANES": str(lanes),
            "BENCH_PIXELS": str(pixels),
            "BENCH_WEIGHT_WORDS": str(weight_words),
            "BENCH_FORMAT": f"{format.exponent},{format.mantissa}",
            "BENCH_SEED": str(seed),
            "BENCH_CASES": str(cases),
        },
    )
