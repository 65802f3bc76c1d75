"""The programs of a core in its DRAM, with what changes from one step to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.assembling.program import Program
from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram_layout import DramLayout
from backspike.compiler.planning.loss import LOSS_SCALE
from backspike.compiler.planning.update import RULE
from backspike.network import Network
from backspike.sim.model import encode, round_values
from backspike.sim.model.network import Weights
from backspike.sim.model.number import Bits, Values
from backspike.sim.model.update import F32, UpdateRule

__all__ = ["Bytes", "CoreImage", "LayerResult", "StepResult", "read_step"]

Bytes = NDArray[np.uint8]
ProgramWords = NDArray[np.uint32]


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


def read_step(
    layers: Sequence[Lowered],
    *,
    forward: Sequence[tuple[DramLayout, Bytes]],
    gradients: Sequence[tuple[DramLayout, Bytes]],
) -> StepResult:
    """What a step has left: of each layer, in the DRAM of the core that did FP, and WG of it."""
    made = []
    for layer, (layout, dram), (other, wide) in zip(layers, forward, gradients, strict=True):
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
    layout, dram = forward[-1]
    rates = layout.values(dram, layout.rates, layers[-1].layer.m_size)
    return StepResult(layers=made, rates=rates[0])


class CoreImage:
    """What lies in the DRAM of a core.

    Parameters
    ----------
    network : Network
    layout : DramLayout
        Programs lie behind all that it has.
    programs : mapping of sub-core to Program

    Attributes
    ----------
    layout, programs
    words : mapping of sub-core to uint32 array
        Their words; scalars are 0 until :meth:`put_scalars`.
    addresses : mapping of sub-core to int
        Where they lie in DRAM.
    size : int
        Bytes of DRAM.
    """

    def __init__(self, network: Network, layout: DramLayout, programs: Mapping[str, Program]):
        self._network, self.layout = network, layout
        self.programs = programs
        self.words = {name: np.array(each.words, "<u4") for name, each in programs.items()}
        self.addresses = {
            name: layout.dram.take(f"program {name}", words.nbytes).address
            for name, words in self.words.items()
        }
        self.size = layout.dram.size

    def image(
        self,
        weights: Sequence[Weights],
        x: NDArray,
        targets: Values,
        rule: UpdateRule,
        loss_scale: float = 1.0,
    ) -> Bytes:
        """DRAM before the step; the arguments are those of :meth:`Network.train_step`."""
        dram = np.zeros(self.size, np.uint8)
        for name, words in self.words.items():
            self._program(dram, name)[:] = words
        self.layout.put_weights(dram, weights)
        self.put_batch(dram, x, targets)
        self.put_scalars(dram, rule, loss_scale)
        return dram

    def put_batch(self, dram: Bytes, x: NDArray, targets: Values) -> None:
        """Writes another input, and the firing rates asked for, into DRAM."""
        self.layout.put_batch(dram, x, targets)

    def put_scalars(self, dram: Bytes, rule: UpdateRule, loss_scale: float = 1.0) -> None:
        """Writes what changes from step to step into the programs in DRAM."""
        network = self._network
        scale = round_values(loss_scale / (self.layout.batch * network.steps), network.format)
        codes = {LOSS_SCALE: int(encode(scale, network.format))}
        codes |= {name: int(np.float32(getattr(rule, name)).view(np.uint32)) for name in RULE}
        for subcore, program in self.programs.items():
            words = self._program(dram, subcore)
            for name, places in program.scalars.items():
                words[places] = codes[name]

    def _program(self, dram: Bytes, name: str) -> ProgramWords:
        first = self.addresses[name]
        return dram[first : first + self.words[name].nbytes].view("<u4")
