"""A training step as it is run: the programs and the DRAM of every core, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.planning.image import Bytes, CoreImage
from backspike.hw.core.connection import Connection, Place
from backspike.sim.model.network import Weights
from backspike.sim.model.number import Bits, Values
from backspike.sim.model.update import F32, UpdateRule

__all__ = ["LayerResult", "StepPlan", "StepResult"]


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """What a step leaves of a layer; names and shapes are those of a LayerRecord."""

    u: Values
    s_out: Bits
    du: Values
    dw: F32
    w_new: F32
    v_new: F32
    w_stored_new: Values

    def weights(self) -> Weights:
        """What the next step begins with."""
        return Weights(self.w_new, self.v_new, self.w_stored_new)


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step leaves in DRAM."""

    layers: list[LayerResult]
    rates: Values
    """Firing rates (n, 1, 1, m) of the last layer."""


class StepPlan:
    """The programs of a training step on all cores that have a part in it, and the DRAM of each.

    Parameters
    ----------
    layers : sequence of Lowered
    places : sequence of place
        Of the input, whose core makes dw of the first layer, and of all layers.
    images : mapping of place to CoreImage
        Programs, where they lie, and how large the DRAM is.
    connections : mapping
        What the host sets in the tables of the cores, by place, sub-core and tag.

    Attributes
    ----------
    layers, places, images, connections
    """

    def __init__(
        self,
        layers: Sequence[Lowered],
        places: Sequence[Place],
        images: Mapping[Place, CoreImage],
        connections: Mapping[Place, Mapping[str, Mapping[int, Connection]]],
    ):
        self.layers, self.places = layers, places
        self.images, self.connections = images, connections

    @property
    def addresses(self) -> dict[Place, dict[str, int]]:
        """Where the programs lie in the DRAM of each core, by sub-core."""
        return {place: image.addresses for place, image in self.images.items()}

    @property
    def dram_bytes(self) -> int:
        """Bytes of DRAM that each core must have."""
        return max(image.size for image in self.images.values())

    def drams(
        self,
        weights: Sequence[Weights],
        x: NDArray,
        targets: Values,
        rule: UpdateRule,
        loss_scale: float = 1.0,
    ) -> dict[Place, Bytes]:
        """DRAM of each core before the step; arguments are those of
        :func:`backspike.sim.model.network.train_step`.
        """
        return {
            place: image.image(weights, x, targets, rule, loss_scale)
            for place, image in self.images.items()
        }

    def put_batch(self, drams: Mapping[Place, Bytes], x: NDArray, targets: Values) -> None:
        """Writes another input, and the firing rates asked for, wherever they are needed."""
        for place, image in self.images.items():
            image.layout.put_batch(drams[place], x, targets)

    def put_scalars(
        self, drams: Mapping[Place, Bytes], rule: UpdateRule, loss_scale: float = 1.0
    ) -> None:
        """Writes what changes from step to step into the programs."""
        for place, image in self.images.items():
            image.put_scalars(drams[place], rule, loss_scale)

    def read(self, drams: Mapping[Place, Bytes]) -> StepResult:
        """What the step has left: of each layer, where FP, and where WG of it was done."""
        where = [(self.images[place].layout, drams[place]) for place in self.places]
        made = []
        for layer, (layout, dram), (other, wide) in zip(
            self.layers, where[1:], where[:-1], strict=True
        ):
            channels, index = layer.layer.m_size, layer.index
            made.append(
                LayerResult(
                    u=layout.values(dram, layout.u[index], channels),
                    s_out=layout.spikes(dram, layout.s_out[index], layer.pooled[1], channels),
                    du=other.values(wide, other.du[index], channels),
                    dw=other.wide(wide, "dw", index),
                    w_new=other.wide(wide, "w", index),
                    v_new=other.wide(wide, "v", index),
                    w_stored_new=other.stored_weights(wide, index),
                )
            )
        layout, dram = where[-1]
        rates = layout.values(dram, layout.rates, self.layers[-1].layer.m_size)
        return StepResult(layers=made, rates=rates[0])
