"""What is measured on the whole core, Verilated: training steps, and instructions one by one."""

from __future__ import annotations

import itertools
from functools import cache, partial
from statistics import fmean

import numpy as np

from backspike.compiler.assembling.program import Program
from backspike.compiler.planning.core import plan_step
from backspike.device import RtlDevice
from backspike.hw.core.connection import LONE_CORE
from backspike.hw.isa.table import OUTSTANDING, IsaShape
from backspike.sim.harness.core import CoreBench
from backspike.sim.harness.session import Request, Session
from backspike.training.settings import TrainingSettings
from backspike.training.trainer import Speed, TrainedStep, Trainer
from backspike.training.training import Training
from scripts.bench.engines import CONFIG
from scripts.bench.figure import Figure

__all__ = ["FIGURES", "core_steps", "instruction_cycles"]

STEPS = 3
COMPUTE = {
    "fp": {"FP_CONV": "fp", "FP_SOMA": "soma"},
    "bp": {"BP_CONV": "bp", "WG_CONV": "wg", "BP_GRAD": "grad", "WU": "wu"},
}
"""An instruction of each engine, which without operands has the least to do."""
DRAM_BYTES = 1 << 16


@cache
def core_steps() -> tuple[TrainedStep, ...]:
    """The first training steps of the digits, batch 32, on the core with 16 x 16 arrays."""
    training = Training.start(CONFIG, TrainingSettings())
    plan_of = cache(partial(plan_step, training.network, CONFIG))
    dram_bytes = plan_of(training.settings.batch).dram_bytes
    with RtlDevice(CoreBench(CONFIG, dram_bytes=dram_bytes)) as device:
        trainer = Trainer(training.network, device, plan_of)
        steps = itertools.islice(training.epoch_steps(0), STEPS)
        return tuple(trainer.run(steps, training.weights))


def _speeds() -> list[Speed]:
    return [step.speed for step in core_steps() if step.speed is not None]


@cache
def instruction_cycles() -> dict[str, tuple[float, float]]:
    """Of the shortest instruction of each engine: idle cycles to the next one, and decoding.

    The first is how many cycles an engine rests between two instructions of which the second takes
    what the first one leaves, once both are decoded; the other how many cycles there are from one
    to the next, or the engine's own if they are more, where nothing is decoded ahead.
    """
    shape = IsaShape.from_config(CONFIG)
    found = {}
    with Session(CoreBench(CONFIG, dram_bytes=DRAM_BYTES)) as session:
        for subcore, mnemonics in COMPUTE.items():
            for mnemonic, unit in mnemonics.items():
                in_turn = Program(shape, subcore)
                for _ in range(2 * OUTSTANDING):
                    in_turn.add(mnemonic, reason="one behind the other")
                starts = _spans(session, {subcore: in_turn}, f"{subcore}_{unit}")[:, 0]

                held = Program(shape, subcore)
                held.barrier(unit, boxes=[0], reason="nothing starts before all is decoded")
                for _ in range(OUTSTANDING):
                    held.add(mnemonic, reason="decoded ahead")
                (other,) = (name for name in COMPUTE if name != subcore)
                spans = _spans(
                    session,
                    {subcore: held, other: _late_message(shape, other)},
                    f"{subcore}_{unit}",
                )
                found[mnemonic] = (float(spans[1, 0] - spans[0, 1]), fmean(np.diff(starts)))
    return found


def _late_message(shape: IsaShape, subcore: str) -> Program:
    """Sends a message after some time: that of 16 bursts, one behind the other."""
    program = Program(shape, subcore)
    for _ in range(16):
        program.add("DMA_RD", reason="takes its time")
    program.barrier("noc", after="read", reason="not before that")
    program.add("NOC_CTRL", reason="now all is decoded")
    return program


def _spans(session: Session, programs: dict[str, Program], unit: str) -> np.ndarray:
    """When the unit was at work, from the first cycle to the one behind the last."""
    dram = np.zeros(DRAM_BYTES, np.uint8)
    addresses = {}
    for number, (subcore, program) in enumerate(programs.items()):
        program.end()
        words = np.array(program.words, "<u4").view(np.uint8)
        addresses[subcore] = number * DRAM_BYTES // 2
        dram[addresses[subcore] :][: len(words)] = words
    run = session.run(Request(drams={LONE_CORE: dram}, programs={LONE_CORE: addresses}))
    return run.activity[LONE_CORE][unit]


FIGURES = (
    Figure(
        name="core_speed",
        what="Verilated core under cocotb, one thread, a digits step of batch 32",
        unit="kHz",
        measure=lambda: max(speed.cycles / speed.seconds for speed in _speeds()) / 1000,
        at_least=25,
    ),
    Figure(
        name="core_cycles_over_busy",
        what="such a step, cycles / (busiest engine of each phase + DMA not hidden)",
        unit="x",
        measure=lambda: max(speed.cycles_over_busy for speed in _speeds()),
        at_most=1.15,
    ),
    Figure(
        name="core_values_differ",
        what="values that differ between RTL and model in three such steps",
        unit="values",
        measure=lambda: sum(sum(step.differ.values()) for step in core_steps()),
        at_most=0,
    ),
    Figure(
        name="instruction_overhead",
        what="idle cycles between two dependent instructions of an engine, both decoded",
        unit="cycles",
        measure=lambda: max(idle for idle, _ in instruction_cycles().values()),
        at_most=12,
    ),
    Figure(
        name="instruction_interval",
        what="cycles from one shortest instruction to the next, nothing decoded ahead",
        unit="cycles",
        measure=lambda: max(each for _, each in instruction_cycles().values()),
    ),
)
