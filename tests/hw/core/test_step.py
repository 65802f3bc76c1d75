"""Without these, plan and core could each be right, and yet a training step leave wrong weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backspike.hw.core.connection import LONE_CORE
from backspike.hw.presets import load
from backspike.network import Layer
from backspike.sim.harness.core import CoreBench
from backspike.sim.harness.mesh import LEAST_DRAM
from backspike.sim.harness.session import Request, Session
from backspike.training.data.digits import CLASSES, load_digits
from tests.backspike.compiler.networks import Case, digits_case, expect, random_case
from tests.hw.core.chips import CHIPS, OTHERS

SEED = 5400
NETWORKS = 3
"""Networks whose first layer has the same kernel."""
SLOW_BUS = {"latency": 40, "spread": 127, "stall": 40, "seed": SEED}
FAST_BUS = {"latency": 4}


@pytest.fixture(scope="module")
def tiny():
    """The core of preset ``tiny``."""
    with Session(CoreBench(load("tiny"), dram_bytes=LEAST_DRAM)) as session:
        yield session


def run_step(session, case, plan, drams=None, **conditions):
    """Runs a step and compares all that it leaves; returns the record of the model and the run."""
    assert plan.dram_bytes <= LEAST_DRAM, "this would take a build of its own"
    record = case.step()
    drams = drams or case.drams(plan)
    run = session.run(Request(drams=drams, programs=plan.addresses, **conditions))
    expect(plan, run.drams, run.outcomes, record)
    return record, run


def live_case(rng, config, count, **settings):
    """A random network in which every layer learns something."""
    while True:
        case, plan = random_case(rng, config, count, **settings)
        record = case.step()
        if record.updated and all(each.du.any() and each.dw.any() for each in record.layers):
            return case, plan


@pytest.mark.parametrize("chip", ["tiny", "paper"])
def test_digits(chip):
    """Two steps, one behind the other on the same DRAM, with a slow bus and with a fast one."""
    case = digits_case(load(chip), batch=8)
    plan = case.plan()
    with Session(CoreBench(case.config, dram_bytes=plan.dram_bytes)) as session:
        record, run = run_step(session, case, plan, **SLOW_BUS)
        assert record.updated
        assert all(layer.dw.any() for layer in record.layers)
        data, _ = load_digits()
        weights = [each.weights() for each in plan.read(run.drams).layers]
        targets = np.eye(CLASSES)[data.y[8:16]]
        case = dataclasses.replace(case, x=data.x[None, 8:16], targets=targets, weights=weights)
        plan.put_batch(run.drams, case.x, case.targets)
        _, run = run_step(session, case, plan, run.drams, **FAST_BUS)
    # What worked when is told by the recorder, how long by the counters.
    for unit, counts in run.counters[LONE_CORE].items():
        spans = run.activity[LONE_CORE][unit]
        at_work = int(np.diff(spans, axis=1).sum())
        assert at_work == counts["busy"] + counts["stalled"], unit
        assert (spans < run.cycles).all()


def networks(kernel):
    """Networks whose first layer has ``kernel`` rows or columns."""
    for number in range(NETWORKS):
        rng = np.random.default_rng([SEED, kernel, number])
        yield live_case(rng, load("tiny"), int(rng.integers(2, 5)), kernel=kernel)


@pytest.mark.parametrize("kernel", range(1, 8))
def test_networks_of_all_shapes(kernel, tiny):
    """Kernels, strides, paddings, poolings, bit planes, channels off the tile; see below."""
    print(f"seed {SEED}")
    for case, plan in networks(kernel):
        run_step(tiny, case, plan)


def test_the_networks_have_all_shapes():
    cases = [case for kernel in range(1, 8) for case, _ in networks(kernel)]
    layers = [layer for case in cases for layer in case.network.layers]
    convolutions = [layer for layer in layers if not layer.fully_connected]
    for axis in range(2):
        assert {layer.kernel[axis] for layer in convolutions} == set(range(1, 8))
    assert {layer.stride[0] for layer in convolutions} == {1, 2, 3, 4}
    assert {layer.pool for layer in convolutions} == {1, 2, 3, 4}
    assert {side for layer in convolutions for side in layer.padding} == {0, 1, 2, 3}
    assert {layer.m_size % 4 for layer in layers} == {0, 1, 2, 3}
    assert {case.network.planes for case in cases} == {0, 2, 4}
    assert {case.network.fire_mask for case in cases} == {False, True}
    assert {case.network.steps for case in cases} == {1, 2, 3}


BIG = {
    # FP goes by strips of rows, since the spikes of a step are too many; weights go by parts.
    "spikes": (
        (
            Layer(m_size=29, kernel=(3, 2), stride=(2, 2), padding=(1, 2, 1, 1), pool=2),
            Layer(m_size=41, kernel=(3, 3), padding=(1, 1, 1, 1)),
            Layer(m_size=7, fully_connected=True),
        ),
        (20, 13, 50),
    ),
    # BP goes by strips, since potentials and gradients of a step are too many.
    "potentials": (
        (
            Layer(m_size=25, kernel=(5, 3), padding=(2, 2, 1, 1), pool=2, th_l=2**-10),
            Layer(m_size=37, kernel=(3, 3), padding=(1, 1, 1, 1), th_l=2**-10),
            Layer(m_size=41, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1), th_l=2**-10),
            Layer(m_size=7, fully_connected=True),
        ),
        (14, 9, 6),
    ),
}


@pytest.mark.parametrize("what", BIG)
def test_layers_that_do_not_fit_the_srams(what, tiny):
    print(f"seed {SEED}")
    layers, input_size = BIG[what]
    rng = np.random.default_rng(SEED)
    case = Case.random(rng, load("tiny"), layers, input_size, batch=2, steps=2, planes=0)
    plan = case.plan()
    setting = case.setting()
    cuts = {"spikes": setting.forward, "potentials": setting.backward}[what]
    assert max(len(cut.strips) for cut in cuts) > 1
    assert max(len(cut.tiles) for cut in cuts) > 1
    assert not setting.forward_weights.resident
    assert not setting.backward_weights.resident
    record, _ = run_step(tiny, case, plan)
    assert record.updated
    assert all(layer.du.any() and layer.dw.any() for layer in record.layers)


@pytest.mark.parametrize("chip", OTHERS)
def test_other_chips(chip):
    print(f"seed {SEED}")
    with Session(CoreBench(CHIPS[chip], dram_bytes=LEAST_DRAM)) as session:
        for number in range(NETWORKS):
            rng = np.random.default_rng([SEED, number])
            run_step(session, *live_case(rng, CHIPS[chip], 2 + number))
