"""A network that keeps all arrays of 2 x 2 cores busy, and what its training is measured by.

Every neuron fires at every step, and every derivative is 1: so all that arrays could skip is there,
and the cycles of a batch are those of its schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.planning.mesh import plan_mesh
from backspike.compiler.planning.step import StepPlan
from backspike.device.device import UnitCounters
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import Place
from backspike.network import Layer, Network
from backspike.sim.model import UpdateRule, round_values
from backspike.sim.model.network import Weights
from backspike.sim.model.number import Values
from scripts.bench.engines import ARRAYS

__all__ = ["BATCH", "PLACES", "DenseBatch", "least_cycles", "pipeline_cycles", "utilisation"]

BATCH = 64
STEPS = 2
PLACES: tuple[Place, ...] = ((0, 1), (0, 0), (1, 0), (1, 1), (0, 1), (0, 1), (0, 1))
"""Of the input and of the layers. The core of the last ones has time for dw of the first."""
DENSITY = {"FP_CONV": 1.0, "BP_CONV": 1.0, "WG_CONV": 1.0}

Activity = Mapping[Place, Mapping[str, NDArray[np.int64]]]


_LAYER = partial(Layer, th_f=-60000.0, th_l=-60000.0, th_r=60000.0)
_SAME = partial(_LAYER, kernel=(3, 3), padding=(1, 1, 1, 1))


def dense_network(config: ChipConfig) -> Network:
    """Convolutions with as many products each, but for the ends, on maps of 15 x 15 pixels.

    The fourth layer has half as many channels, as the input has: its core does two small ones
    besides.
    """
    lanes = config.array.lanes
    return Network.for_chip(
        config,
        layers=(
            *(_SAME(m_size=2 * lanes) for _ in range(3)),
            _SAME(m_size=lanes),
            _LAYER(m_size=lanes, kernel=(3, 3), stride=(3, 3)),
            _LAYER(m_size=10, fully_connected=True),
        ),
        input_size=(15, 15, lanes),
        steps=STEPS,
        wg_samples=(2, 2, 2, 2, 2, 16),
    )


@dataclass(frozen=True, kw_only=True)
class DenseBatch:
    """A batch of it, with the programs.

    Attributes are arguments of :func:`backspike.sim.model.network.train_step`.
    """

    config: ChipConfig
    samples: int = BATCH
    loss_scale: float = 1024.0
    network: Network = field(init=False)
    plan: StepPlan = field(init=False)

    def __post_init__(self) -> None:
        network = dense_network(self.config)
        plan = plan_mesh(
            network,
            self.config,
            self.samples,
            places=PLACES,
            input_steps=STEPS,
            density=DENSITY,
        )
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "plan", plan)

    @property
    def rule(self) -> UpdateRule:
        """Of the update."""
        return UpdateRule(lr=0.01, mu=0.9, k=1 / (self.samples * self.loss_scale))

    @property
    def x(self) -> NDArray[np.uint8]:
        """Spikes everywhere."""
        return np.ones((STEPS, self.samples, *self.network.input_size), np.uint8)

    @property
    def targets(self) -> Values:
        """Rates that no output has: it fires at every step."""
        rng = np.random.default_rng(1)
        rates = rng.uniform(0, 0.5, (self.samples, self.network.layers[-1].m_size))
        return round_values(rates, self.network.format)

    def weights(self) -> list[Weights]:
        """So large that gradients stay as large from layer to layer."""
        rng = np.random.default_rng(2)
        made = []
        for layer, shape in zip(self.network.layers, self.network.weight_shapes, strict=True):
            m, _, *kernel = shape
            reached = m * math.prod(kernel) / math.prod(layer.stride)
            made.append(Weights.start(rng.normal(scale=reached**-0.5, size=shape)))
        return made

    def drams(self) -> dict[Place, NDArray[np.uint8]]:
        """DRAM of each core in front of the batch."""
        return self.plan.drams(self.weights(), self.x, self.targets, self.rule, self.loss_scale)


def least_cycles(counters: UnitCounters, samples: int) -> float:
    """What a batch cannot do without: FP of the first sample, and the busiest BP or WG array."""
    busy = {
        name: [counts[unit]["busy"] for counts in counters.values() if unit in counts]
        for name, unit in ARRAYS.items()
    }
    return sum(busy["fp"]) / samples + max(*busy["bp"], *busy["wg"])


def utilisation(counters: UnitCounters, cycles: int) -> float:
    """Cycles in which arrays of all cores were busy, of those that they had (eq. 10)."""
    busy = sum(counts[unit]["busy"] for counts in counters.values() for unit in ARRAYS.values())
    return busy / (len(ARRAYS) * len(counters) * cycles)


def pipeline_cycles(activity: Activity) -> int:
    """Cycles of a batch up to its update: that begins when statuses of all cores are known."""
    updates = [units["bp_wu"][:, 0] for units in activity.values()]
    return int(min(first.min() for first in updates if len(first)))
