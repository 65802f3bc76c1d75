"""Training steps on a device, each compared with the model, value by value."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.planning.step import StepPlan, StepResult
from backspike.device import Device, Timing
from backspike.device.device import UnitCounters
from backspike.hw.core.connection import Place
from backspike.hw.isa.instruction import Fault
from backspike.network import Network
from backspike.sim.model.network import Weights
from backspike.sim.model.record import StepRecord
from backspike.training.timeline import cycles_over_busy
from backspike.training.training import TrainingStep

__all__ = ["Speed", "TrainedStep", "Trainer", "compare"]

COMPARED = ("u", "s_out", "du", "dw", "w_new", "v_new", "w_stored_new")
"""Of each layer: potentials, spikes, gradients, weights, momenta and weights as stored."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How long a step took."""

    cycles: int
    seconds: float
    """Of the simulator."""
    cycles_over_busy: float


@dataclass(frozen=True, kw_only=True)
class TrainedStep:
    """A training step that the device has done."""

    number: int
    loss: float
    compared: dict[str, int]
    """Values, by name."""
    differ: dict[str, int]
    counters: UnitCounters
    """Of each unit, as far as the device counts."""
    speed: Speed | None
    """As far as the device has one."""


def compare(result: StepResult, record: StepRecord) -> tuple[Counter[str], Counter[str]]:
    """How many values there are by name, and how many of them differ, be it by the sign of 0."""
    compared, differ = Counter[str](), Counter[str]()

    def count(name: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
        expected = np.ascontiguousarray(expected, found.dtype)
        if found.shape != expected.shape:
            raise ValueError(f"{name} must have the shape {expected.shape}, not {found.shape}")
        # As bits: a NaN equals itself, +0 and -0 differ.
        pairs = (each.reshape(-1, 1).view(np.uint8) for each in (found, expected))
        compared[name] += found.size
        differ[name] += int(np.not_equal(*pairs).any(axis=1).sum())

    for here, there in zip(result.layers, record.layers, strict=True):
        for name in COMPARED:
            count(name, getattr(here, name), getattr(there, name))
    count("rates", result.rates, record.rates)
    return compared, differ


class Trainer:
    """Does training steps on a device, and on the model for comparison.

    Parameters
    ----------
    network : Network
    device : Device
        It has to be open before the first step.
    plan : callable
        From the samples of a step, of which the last of an epoch may have fewer, to its programs;
        those for as many samples are the same object each time.

    Attributes
    ----------
    steps : list of TrainedStep
        What was done.
    timing : Timing or None
        Of the last of them.
    """

    def __init__(self, network: Network, device: Device, plan: Callable[[int], StepPlan]):
        self._network, self._device, self._plan_of = network, device, plan
        self._plan: StepPlan | None = None
        self._drams: dict[Place, NDArray[np.uint8]] = {}
        self.steps: list[TrainedStep] = []
        self.timing: Timing | None = None

    def run(self, steps: Iterable[TrainingStep], weights: list[Weights]) -> Iterator[TrainedStep]:
        """Does steps one behind the other, from ``weights`` on, which become those of the last."""
        self._plan = None
        for step in steps:
            self.take(step, weights)
            yield self.steps[-1]

    def take(self, step: TrainingStep, weights: list[Weights]) -> StepRecord:
        """Does a step, changing ``weights`` to what the device has made of them.

        The device goes on from what the step before has left in DRAM, if that had as many samples;
        only the batch and the learning rate are written then.

        Raises
        ------
        RuntimeError
            If a program is stopped by a fault.
        """
        plan = self._put(step, weights)
        record = step.take(self._network, copy.deepcopy(weights))
        device = self._device
        for place, dram in self._drams.items():
            device.write(place, 0, dram)
        device.start()
        self.timing = device.wait()
        for place, dram in self._drams.items():
            self._drams[place] = device.read(place, 0, len(dram))
        result = plan.read(self._drams)
        compared, differ = compare(result, record)
        for name, found in self._statuses().items():
            compared["statuses"] += 1
            differ["statuses"] += found != getattr(record.status, name)
        speed, counters = None, device.counters()
        if self.timing is not None:
            speed = Speed(
                cycles=self.timing.cycles,
                seconds=self.timing.seconds,
                cycles_over_busy=cycles_over_busy(self.timing, counters),
            )
        self.steps.append(
            TrainedStep(
                number=step.number,
                loss=record.loss,
                compared=dict(compared),
                differ=dict(differ),
                counters=counters,
                speed=speed,
            )
        )
        weights[:] = [layer.weights() for layer in result.layers]
        return record

    def _put(self, step: TrainingStep, weights: list[Weights]) -> StepPlan:
        """Makes the images of DRAM those in front of the step."""
        plan = self._plan_of(len(step.targets))
        if plan is self._plan:
            plan.put_batch(self._drams, step.x, step.targets)
            plan.put_scalars(self._drams, step.rule, step.loss_scale)
        else:
            self._plan = plan
            self._drams = plan.drams(weights, step.x, step.targets, step.rule, step.loss_scale)
            self._device.load(plan.addresses, plan.connections)
        return plan

    def _statuses(self) -> dict[str, bool]:
        """Whether any program has raised them."""
        statuses = {"overflow": False, "invalid": False}
        for place, outcomes in self._device.status().items():
            for subcore, outcome in outcomes.items():
                if outcome.fault is not Fault.NONE:
                    raise RuntimeError(
                        f"the {subcore.upper()} sub-core of core {place} has stopped with "
                        f"{outcome.fault.name} at word {outcome.position} of its program"
                    )
                for name in statuses:
                    statuses[name] |= getattr(outcome, name)
        return statuses
