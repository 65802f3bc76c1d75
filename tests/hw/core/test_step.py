"""A training step on the core: all that it leaves in DRAM, against the model of networks."""

from __future__ import annotations

import copy

import numpy as np

from hw.instruction import Fault
from hw.presets import load
from scripts.train import CLASSES, Training, TrainingSettings, batches, load_digits
from sim.harness.session import CoreRequest, CoreSession
from sim.model import UpdateRule
from toolchain.step import plan_step

SAMPLES = 8
LOSS_SCALE = 1024
RULE = UpdateRule(lr=0.1, mu=0.9, k=1 / LOSS_SCALE)


def test_digits():
    """Two steps, one behind the other on the same DRAM, with a slow bus and with a fast one."""
    config = load("tiny")
    settings = TrainingSettings(batch=SAMPLES)
    print(f"seed {settings.seed}")
    training = Training.start(config, settings)
    network, weights = training.network, training.weights
    data, _ = load_digits()
    plan = plan_step(network, config, SAMPLES)
    order = batches(len(data.x), settings, 0)
    with CoreSession(config, dram_bytes=plan.size) as session:
        dram = np.zeros(0, np.uint8)
        for latency, stall in ((40, 40), (4, 0)):
            chosen = next(order)
            x, targets = data.x[None, chosen], np.eye(CLASSES)[data.y[chosen]]
            if len(dram):
                plan.put_batch(dram, x, targets)
            else:
                dram = plan.image(weights, x, targets, RULE, LOSS_SCALE)
            before = copy.deepcopy(weights)
            record = network.train_step(x, targets, weights, RULE, loss_scale=LOSS_SCALE)
            request = CoreRequest(dram=dram, programs=plan.addresses, latency=latency, stall=stall)
            run = session.run(request)
            assert all(each.fault is Fault.NONE for each in run.outcomes.values()), run.outcomes
            flagged = any(each.overflow or each.invalid for each in run.outcomes.values())
            assert flagged == bool(record.status)
            dram = run.dram
            found = plan.read(dram)
            assert np.array_equal(found.rates, record.rates)
            for index, (here, there) in enumerate(zip(found.layers, record.layers, strict=True)):
                for name in ("u", "s_out", "du", "dw", "w_new", "v_new", "w_stored_new"):
                    one, other = getattr(here, name), getattr(there, name)
                    # As bits: +0 and -0 differ.
                    assert one.tobytes() == np.asarray(other, one.dtype).tobytes(), (index, name)
                assert not np.array_equal(here.w_new, before[index].w), "nothing was learnt"
            # What worked when is told by the recorder, how long by the counters.
            for unit, counts in run.counters.items():
                at_work = int(np.diff(run.activity[unit], axis=1).sum())
                assert at_work == counts["busy"] + counts["stalled"], unit
                assert (run.activity[unit] < run.cycles).all()
