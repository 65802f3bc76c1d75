"""Without these, a device could lose what was written, or training depend on which one it is."""

from __future__ import annotations

import itertools
from functools import cache, partial

import numpy as np
import pytest

from backspike.compiler.assembling.program import Program
from backspike.compiler.planning.core import plan_step
from backspike.compiler.planning.mesh import plan_mesh
from backspike.device import ModelDevice, RtlDevice
from backspike.hw.core.connection import LONE_CORE
from backspike.hw.isa.instruction import Fault
from backspike.hw.isa.table import Control, IsaShape
from backspike.hw.presets import load
from backspike.sim.harness.core import CoreBench
from backspike.sim.harness.mesh import LEAST_DRAM
from backspike.training.settings import TrainingSettings
from backspike.training.trainer import Trainer
from backspike.training.training import Training

CONFIG = load("tiny")
SAMPLES = (4, 4, 2)
"""Of steps: the last one has programs of its own."""


def devices():
    """The same core, twice."""
    return [ModelDevice(CONFIG), RtlDevice(CoreBench(CONFIG, dram_bytes=LEAST_DRAM))]


def first_steps(training):
    """Steps of an epoch that ends with few samples."""
    for step, samples in zip(training.epoch_steps(0), SAMPLES, strict=False):
        yield step._replace(x=step.x[:, :samples], targets=step.targets[:samples])


def test_what_is_written_is_read():
    device = ModelDevice(CONFIG)
    device.write(LONE_CORE, 8, b"behind")
    device.write(LONE_CORE, 0, np.arange(4, dtype=np.uint8))
    device.write((1, 0), 0, b"elsewhere")
    assert device.read(LONE_CORE, 0, 12).tobytes() == b"\0\1\2\3\0\0\0\0behi"
    found = device.read(LONE_CORE, 0, 4)
    found[:] = 9
    assert device.read(LONE_CORE, 0, 1) == 0


def test_devices_train_alike():
    """Another batch in the same DRAM, and another number of samples."""
    trained = []
    for device in devices():
        training = Training.start(CONFIG, TrainingSettings(batch=4))
        plan_of = cache(partial(plan_step, training.network, CONFIG))
        with device:
            trainer = Trainer(training.network, device, plan_of)
            steps = list(trainer.run(first_steps(training), training.weights))
        assert all(sum(step.compared.values()) > 10_000 for step in steps)
        assert not any(sum(step.differ.values()) for step in steps)
        trained.append((steps, training.weights))
    (model, weights), (rtl, others) = trained
    for here, there in zip(weights, others, strict=True):
        for name, array in vars(here).items():
            assert array.tobytes() == getattr(there, name).tobytes()
    assert [step.loss for step in model] == [step.loss for step in rtl]
    # The model has no cycles, and counts nothing.
    assert not any(step.speed or step.counters for step in model)
    assert all(step.speed.cycles_over_busy > 1 for step in rtl)
    assert all(step.counters[LONE_CORE]["fp_fp"]["busy"] for step in rtl)


def test_the_same_loop_trains_on_a_mesh():
    config = load("tiny", ["mesh.columns=2", "mesh.rows=2"])
    training = Training.start(config, TrainingSettings(batch=4))
    before = list(training.weights)
    plan_of = cache(partial(plan_mesh, training.network, config))
    with ModelDevice(config) as device:
        trainer = Trainer(training.network, device, plan_of)
        steps = list(trainer.run(itertools.islice(first_steps(training), 2), training.weights))
    assert [step.number for step in steps] == [0, 1]
    assert not any(sum(step.differ.values()) for step in steps)
    assert all((old.w != new.w).any() for old, new in zip(before, training.weights, strict=True))


@pytest.mark.parametrize("device", devices())
def test_a_device_tells_of_faults(device):
    program = Program(IsaShape.from_config(CONFIG), "bp")
    operands = {"flow_type": Control.REMOTE_SIGNAL.value, "tag_id": 3}
    at = program.add("NOC_CTRL", operands, reason="over a connection that there is not")
    program.end()
    with device:
        device.write(LONE_CORE, 0x100, np.array(program.words, "<u4").view(np.uint8))
        device.load({LONE_CORE: {"bp": 0x100}}, {})
        device.start()
        device.wait()
        (outcome,) = device.status()[LONE_CORE].values()
    assert (outcome.fault, outcome.position) == (Fault.CONNECTION, at)


def test_a_fault_ends_training():
    training = Training.start(CONFIG, TrainingSettings(batch=4))
    plan = plan_step(training.network, CONFIG, 4)
    plan.images[LONE_CORE].words["fp"][0] = 0xFFFFFFFF
    trainer = Trainer(training.network, ModelDevice(CONFIG), lambda samples: plan)
    with pytest.raises(RuntimeError, match="the FP sub-core of core .0, 0. has stopped with"):
        list(trainer.run(first_steps(training), training.weights))


def test_a_closed_device_starts_nothing():
    device = RtlDevice(CoreBench(CONFIG, dram_bytes=LEAST_DRAM))
    with pytest.raises(RuntimeError, match="must be open before programs run on it"):
        device.start()
    device.close()
