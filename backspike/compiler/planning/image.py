"""The programs of a core in its DRAM, with what changes from one step to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.assembling.program import Program
from backspike.compiler.memory.dram_layout import DramLayout
from backspike.compiler.planning.loss import LOSS_SCALE
from backspike.compiler.planning.update import RULE
from backspike.network import Network
from backspike.sim.model import encode, round_values
from backspike.sim.model.machine.memories import Bytes
from backspike.sim.model.network import Weights
from backspike.sim.model.number import Values
from backspike.sim.model.update import UpdateRule

__all__ = ["Bytes", "CoreImage"]

ProgramWords = NDArray[np.uint32]


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
        """DRAM before the step; arguments are those of
        :func:`backspike.sim.model.network.train_step`.
        """
        dram = np.zeros(self.size, np.uint8)
        for name, words in self.words.items():
            self._program(dram, name)[:] = words
        self.layout.put_weights(dram, weights)
        self.layout.put_batch(dram, x, targets)
        self.put_scalars(dram, rule, loss_scale)
        return dram

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
