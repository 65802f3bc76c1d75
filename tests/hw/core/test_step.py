"""A training step on the core: all that it leaves in DRAM, against the model of networks."""

from __future__ import annotations

import copy

import numpy as np

from hw.instruction import Fault
from hw.presets import load
from scripts.train import Training, TrainingSettings
from sim.harness.session import CoreRequest, CoreSession
from toolchain.step import plan_step

SAMPLES = 8


def test_digits():
    """Two steps, one behind the other on the same DRAM, with a slow bus and with a fast one."""
    config = load("tiny")
    settings = TrainingSettings(batch=SAMPLES)
    print(f"seed {settings.seed}")
    training = Training.start(config, settings)
    network, weights = training.network, training.weights
    plan = plan_step(network, config, SAMPLES)
    steps = training.epoch_steps(0)
    with CoreSession(config, dram_bytes=plan.size) as session:
        dram = np.zeros(0, np.uint8)
        for latency, stall in ((40, 40), (4, 0)):
            step = next(steps)
            batch, scalars = (step.x, step.targets), (step.rule, step.loss_scale)
            if len(dram):
                plan.put_batch(dram, *batch)
                plan.put_scalars(dram, *scalars)
            else:
                dram = plan.image(weights, *batch, *scalars)
            before = copy.deepcopy(weights)
            record = step.take(network, weights)
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
