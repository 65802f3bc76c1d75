"""Without these, a WG engine could lose dw between strips, or take the input of another step."""

from __future__ import annotations

import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.wg.engine import WgEngine
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run
from tests.hw.launch import environment
from tests.hw.wg.cases import DEPTHS


@pytest.mark.parametrize(
    ("format", "lanes", "pixels", "dw_lanes", "cases", "seed"),
    [
        # Readouts of four steps a row, of one, and of two.
        (BINARY16, 4, 8, 1, 140, 1),
        (BINARY16, 2, 16, 2, 70, 2),
        (Float(5, 2), 4, 4, 2, 70, 3),
        (Float(4, 3), 4, 8, 4, 35, 4),
        # Full size, which the tests of the core have, too.
        pytest.param(BINARY16, 16, 16, 2, 7, 5, marks=pytest.mark.slow),
    ],
)
def test_equals_model(format, lanes, pixels, dw_lanes, cases, seed):
    print(f"seed {seed}")
    engine = WgEngine(format=format, lanes=lanes, pixels=pixels, dw_lanes=dw_lanes)
    run(
        EngineBench(engine, DEPTHS),
        "tests.hw.wg.cocotb_wg",
        environment=environment((engine.parameters, seed, cases)),
    )
