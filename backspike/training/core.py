"""Training steps on the Verilated core, each compared with the model, value by value."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.planning.core import StepPlan, StepResult, plan_step
from backspike.hw.config import ChipConfig
from backspike.hw.isa.instruction import Fault
from backspike.network import Network
from backspike.sim.harness.session import CoreRequest, CoreRun, CoreSession
from backspike.sim.model.network import Weights
from backspike.sim.model.record import StepRecord
from backspike.training.timeline import cycles_over_busy
from backspike.training.training import Step

__all__ = ["CoreStep", "CoreTrainer", "compare"]

COMPARED = ("u", "s_out", "du", "dw", "w_new", "v_new", "w_stored_new")
"""Of each layer: potentials, spikes, gradients, weights, momenta and weights as stored."""


@dataclass(frozen=True, kw_only=True)
class CoreStep:
    """A training step that the core has done."""

    number: int
    compared: dict[str, int]
    """Values, by name."""
    differ: dict[str, int]
    cycles: int
    seconds: float
    """Of the simulator."""
    cycles_over_busy: float
    counters: dict[str, dict[str, int]]
    """Of each unit."""


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


class CoreTrainer:
    """Does training steps on the core, and on the model for comparison.

    Parameters
    ----------
    network : Network
    config : ChipConfig
    batch : int
        Samples in a step; those of an epoch's last one may be fewer.

    Attributes
    ----------
    config : ChipConfig
    steps : list of CoreStep
        What was done.
    last : CoreRun or None
        The last of them in full.

    Raises
    ------
    ValueError
        If the network does not fit the core, in one sentence.
    """

    def __init__(self, network: Network, config: ChipConfig, batch: int):
        self._network = network
        self.config = config
        self._plans = {batch: plan_step(network, config, batch)}
        self._plan, self._dram = self._plans[batch], np.zeros(0, np.uint8)
        self._session: CoreSession | None = None
        self.steps: list[CoreStep] = []
        self.last: CoreRun | None = None

    @property
    def plan(self) -> StepPlan:
        """The one for whole batches."""
        return next(iter(self._plans.values()))

    def start(self) -> None:
        """Begins to build the core, beside other work."""
        self._session = CoreSession(self.config, dram_bytes=self.plan.size)

    def wait(self) -> None:
        """Returns when the core is ready."""
        assert self._session is not None
        self._session.wait()

    def close(self) -> None:
        """Ends the simulation."""
        if self._session is not None:
            self._session.close()

    def restart(self) -> None:
        """The next step begins with the weights that it is given, not with those in DRAM."""
        self._dram = np.zeros(0, np.uint8)

    def take(self, step: Step, weights: list[Weights]) -> StepRecord:
        """Does a step, changing ``weights`` to what the core has made of them.

        The core goes on from what the step before has left in DRAM; only the batch and the learning
        rate are written.
        """
        assert self._session is not None
        samples = len(step.targets)
        if samples not in self._plans:
            self._plans[samples] = plan_step(self._network, self.config, samples)
        plan = self._plans[samples]
        if len(self._dram) and plan is self._plan:
            plan.put_batch(self._dram, step.x, step.targets)
            plan.put_scalars(self._dram, step.rule, step.loss_scale)
        else:
            self._plan = plan
            self._dram = plan.image(weights, step.x, step.targets, step.rule, step.loss_scale)
        record = step.take(self._network, copy.deepcopy(weights))
        run = self._session.run(CoreRequest(dram=self._dram, programs=plan.addresses))
        self._dram = run.dram
        for subcore, outcome in run.outcomes.items():
            if outcome.fault is not Fault.NONE:
                raise RuntimeError(
                    f"the {subcore.upper()} sub-core has stopped with {outcome.fault.name} at word "
                    f"{outcome.position} of its program"
                )
        result = plan.read(run.dram)
        compared, differ = compare(result, record)
        for name in ("overflow", "invalid"):
            found = any(getattr(outcome, name) for outcome in run.outcomes.values())
            compared["statuses"] += 1
            differ["statuses"] += found != getattr(record.status, name)
        self.steps.append(
            CoreStep(
                number=step.number,
                compared=dict(compared),
                differ=dict(differ),
                cycles=run.cycles,
                seconds=run.seconds,
                cycles_over_busy=cycles_over_busy(run),
                counters=run.counters,
            )
        )
        self.last = run
        weights[:] = [layer.weights() for layer in result.layers]
        return record
