"""Without these, figures of training on many cores could be those of work that is not all done."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.presets import load
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.network import train_step
from scripts.bench.pipeline import (
    PLACES,
    DenseBatch,
    least_cycles,
    pipeline_cycles,
    utilisation,
)
from tests.backspike.compiler.networks import expect

CHIP = load("vcu128")


def test_the_dense_network_is_dense():
    """And its batch is what the model makes of it."""
    batch = DenseBatch(config=CHIP, samples=2)
    record = train_step(
        batch.network,
        batch.x,
        batch.targets,
        batch.weights(),
        batch.rule,
        loss_scale=batch.loss_scale,
    )
    assert record.updated
    for layer in record.layers:
        assert layer.s.all()
        assert (layer.du != 0).mean() > 0.999
        assert layer.mask is None or layer.mask.all()
    drams = batch.drams()
    chip = ChipModel(CHIP, drams, connections=batch.plan.connections)
    expect(batch.plan, drams, chip.run(batch.plan.addresses), record)


def test_its_work_is_balanced():
    batch = DenseBatch(config=CHIP, samples=2)
    assert set(batch.plan.images) == set(PLACES)
    work = {place: {"fp": 0, "bp": 0, "wg": 0} for place in PLACES}
    for layer, before, here in zip(batch.plan.layers, PLACES, PLACES[1:], strict=False):
        work[here]["fp"] += layer.dense_cycles
        work[before]["wg"] += layer.dense_cycles
        if layer.index:
            work[before]["bp"] += layer.dense_cycles
    most = max(max(each.values()) for each in work.values())
    total = sum(sum(each.values()) for each in work.values())
    assert total > 0.7 * 12 * most


def counters(fp, bp, wg):
    """Of a core."""
    return {"fp_fp": {"busy": fp}, "bp_bp": {"busy": bp}, "bp_wg": {"busy": wg}}


def test_what_a_batch_is_measured_by():
    counted = {(0, 0): counters(100, 300, 50), (1, 0): counters(60, 0, 320)}
    assert least_cycles(counted, 4) == 40 + 320
    assert utilisation(counted, 400) == pytest.approx(830 / (6 * 400))
    activity = {
        (0, 0): {"bp_wu": np.array([[900, 950], [960, 990]])},
        (1, 0): {"bp_wu": np.zeros((0, 2), np.int64)},
        (1, 1): {"bp_wu": np.array([[880, 890]])},
    }
    assert pipeline_cycles(activity) == 880
