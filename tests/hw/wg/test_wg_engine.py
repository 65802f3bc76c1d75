"""The WG engine as Verilog: what its bench checks, at the sizes where bugs live."""

from __future__ import annotations

import json

import pytest

from hw.arith.format import FP16, Float
from hw.wg.engine import WgEngine
from sim.harness.bench import EngineBench
from sim.harness.cosim import run
from tests.hw.wg.cases import DEPTHS


def launch(test: str, *, format: Float, lanes: int, pixels: int, dw_lanes: int, **settings):
    """Runs one test of the bench on an engine of these parameters."""
    engine = WgEngine(format=format, lanes=lanes, pixels=pixels, dw_lanes=dw_lanes)
    settings |= {
        "format": [format.exponent, format.mantissa],
        "lanes": lanes,
        "pixels": pixels,
        "dw_lanes": dw_lanes,
    }
    print(settings)
    return run(
        EngineBench(engine, DEPTHS),
        "tests.hw.wg.cocotb_wg",
        environment={"BENCH_SETTINGS": json.dumps(settings)},
        tests=test,
    )


@pytest.mark.parametrize(
    ("format", "lanes", "pixels", "dw_lanes", "cases", "seed"),
    [
        # Readouts of four steps a row, of one, and of two.
        (FP16, 4, 8, 1, 140, 1),
        (FP16, 2, 16, 2, 70, 2),
        (Float(5, 2), 4, 4, 2, 70, 3),
    ],
)
def test_equals_model(format, lanes, pixels, dw_lanes, cases, seed):
    launch(
        "engine_equals_model",
        format=format,
        lanes=lanes,
        pixels=pixels,
        dw_lanes=dw_lanes,
        cases=cases,
        seed=seed,
    )


def test_full_size(tmp_path):
    """16 x 16, with the shares of busy cycles that the engine is made for."""
    results = tmp_path / "figures.json"
    launch(
        "figures",
        format=FP16,
        lanes=16,
        pixels=16,
        dw_lanes=2,
        seed=5,
        sparsities=[0.0, 0.9, 0.95, 0.98],
        results=str(results),
    )
    figures = json.loads(results.read_text())
    print(figures)
    assert figures["0.0"]["dense_busy_share"] >= 0.9
    for sparsity in ("0.9", "0.95", "0.98"):
        assert figures[sparsity]["cycles_per_vector"] <= 1.05, figures
