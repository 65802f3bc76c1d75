"""Without these, engines that lose, repeat or misplace pixels under stalls would go unnoticed."""

from __future__ import annotations

import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run
from tests.hw.launch import environment
from tests.hw.neuron.settings import BenchSettings

SEED = 3001


def launch(settings: BenchSettings, test_module: str) -> None:
    print(settings)
    run(
        EngineBench(settings.engine(), settings.depths),
        f"tests.hw.neuron.{test_module}",
        environment=environment(settings),
    )


@pytest.mark.parametrize(
    ("name", "lanes", "pipeline_lanes", "pixels", "format", "brief"),
    [
        ("soma", 4, 2, 4, BINARY16, False),
        ("grad", 4, 2, 8, BINARY16, False),
        ("soma", 4, 4, 4, BINARY16, True),
        ("grad", 4, 4, 8, BINARY16, True),
        ("soma", 2, 2, 16, Float(4, 3), True),
        ("grad", 2, 1, 4, Float(5, 2), True),
        ("soma", 2, 1, 4, Float(5, 2), True),
        ("grad", 2, 2, 8, Float(4, 3), True),
        pytest.param("soma", 16, 4, 16, BINARY16, True, marks=pytest.mark.slow),
        pytest.param("grad", 16, 4, 16, BINARY16, True, marks=pytest.mark.slow),
    ],
)
def test_element_engine_equals_model(name, lanes, pipeline_lanes, pixels, format, brief):
    settings = BenchSettings(
        name=name,
        lanes=lanes,
        pipeline_lanes=pipeline_lanes,
        pixels=pixels,
        format=format,
        seed=SEED,
        brief=brief,
    )
    launch(settings, "cocotb_element")


@pytest.mark.parametrize(
    ("lanes", "update_lanes", "format"),
    [(2, 2, BINARY16), (16, 2, BINARY16), (4, 1, Float(5, 2)), (4, 4, Float(4, 3))],
)
def test_update_engine_equals_model(lanes, update_lanes, format):
    settings = BenchSettings(
        name="update", lanes=lanes, update_lanes=update_lanes, format=format, seed=SEED
    )
    launch(settings, "cocotb_update")


@pytest.mark.parametrize("name", ["soma", "grad"])
def test_impossible_engines_are_refused(name):
    with pytest.raises(ValueError, match=r"lanes must be at least 1, not 0$"):
        BenchSettings(name=name, lanes=0, pipeline_lanes=1, pixels=4, seed=0).engine()
    with pytest.raises(ValueError, match=r"pipeline_lanes must divide lanes = 4, not 3$"):
        BenchSettings(name=name, lanes=4, pipeline_lanes=3, pixels=4, seed=0).engine()
    with pytest.raises(ValueError, match=r"pixels must be a power of two from 2, not 6$"):
        BenchSettings(name=name, lanes=2, pipeline_lanes=2, pixels=6, seed=0).engine()


def test_impossible_update_engine_is_refused():
    with pytest.raises(ValueError, match=r"update_lanes must divide lanes = 4, not 3$"):
        BenchSettings(name="update", lanes=4, update_lanes=3, seed=0).engine()
