"""What the programs of both sub-cores are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Unpack

from backspike.compiler.assembling.program import At
from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.lowering.neuron import ElementOperands
from backspike.compiler.memory.dram_layout import DramLayout
from backspike.compiler.memory.parts import Cut, Ring, Room, WeightRoom
from backspike.compiler.order.cycles import DENSITY
from backspike.compiler.order.entry import MessageWaits
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.order.timeline import START, Moment
from backspike.compiler.order.touch import Touch
from backspike.compiler.planning.blocks import GradientBlocks
from backspike.hw.config import ChipConfig
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.table import SRAMS
from backspike.network import Network
from backspike.sim.model import encode

__all__ = ["FORWARD_DONE", "Builder", "CoreContext", "PlanContext"]

FORWARD_DONE = 0
"""Message box of the BP sub-core: the forward pass is in DRAM."""


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """A network and a core that has a part in it: what is known before an instruction is made."""

    network: Network
    config: ChipConfig
    batch: int
    layers: list[Lowered]
    room: Room
    layout: DramLayout

    def code(self, value: float) -> int:
        """A number of the storage format."""
        return int(encode(value, self.network.format))


@dataclass(frozen=True, kw_only=True)
class CoreContext(PlanContext):
    """A whole network on a core."""

    rounds: tuple[range, ...]
    """Samples that go through all layers before the next ones do."""
    forward: list[Cut]
    backward: list[Cut]
    forward_weights: WeightRoom
    backward_weights: WeightRoom
    blocks: list[GradientBlocks]
    """Of each layer, what WG makes at a time."""


class Builder(OrderedProgram):
    """A program with what its instructions have in common."""

    def __init__(self, context: PlanContext, subcore: str, density: Mapping[str, float] = DENSITY):
        super().__init__(context.config, subcore, density)
        self.context = context
        array = context.config.array
        self.engine = EngineShape.from_config(context.config)
        self.elements = ElementOperands(
            lanes=array.lanes, pixels=array.spike_pixels, format=context.config.format
        )
        self._message: MessageWaits = {}
        self._told: list[range] = []
        self.taken: list[Moment] = []
        """Of those that have taken the messages of :meth:`await_message`."""

    def halves(self, sram: str) -> Ring:
        """The two halves of an SRAM."""
        return Ring(0, self.context.room.words(f"{self.subcore}.{sram}", 2))

    def quarters(self, sram: str, first: int) -> Ring:
        """Two quarters of an SRAM, from number ``first`` on."""
        words = self.context.room.words(f"{self.subcore}.{sram}", 4)
        return Ring(first * words, words)

    def await_message(self, box: int, comes: Moment, samples: range) -> None:
        """The next DMA_RD takes a message, which ``comes`` has sent.

        It tells that the forward pass of ``samples`` is in DRAM. They are told of in order.
        """
        self._message = {"boxes": (box,), "comes": comes}
        self._told.append(samples)

    def move(
        self,
        mnemonic: str,
        sram: str,
        copies: Iterable[Mapping[str, int | At]],
        *,
        reason: str,
        relies: range | None = None,
        **waits: Unpack[MessageWaits],
    ) -> Moment:
        """DMA_RD or DMA_WR of each of ``copies``, the first of which waits; moment of the last.

        A DMA_RD ``relies`` on what was told of these samples; on all that was told if left out.
        """
        number = SRAMS[self.subcore].index(sram)
        moment = START
        for copy in copies:
            operands = {**copy, "sram": number}
            if mnemonic == "DMA_RD":
                moment = self._read(operands, reason, relies, waits)
            else:
                moment = self.add(mnemonic, operands, reason=reason, **waits)
            waits = {}
        return moment

    def _read(
        self,
        operands: Mapping[str, int | At],
        reason: str,
        relies: range | None,
        waits: MessageWaits,
    ) -> Moment:
        """DMA_RD; it stays behind the one that has taken the last message it relies on."""
        taking = bool(self._message)
        if taking:
            waits, self._message = self._message, {}
        last = len(self._told) - 1
        if relies is not None and not taking:
            last = sum(told.start < relies.stop for told in self._told) - 1
        if taking:
            waits["exchanged"] = [Touch("told", last, last + 1, True)]
        elif last >= 0:
            waits["exchanged"] = [Touch("told", last, last, False)]
        moment = self.add("DMA_RD", operands, reason=reason, **waits)
        if taking:
            self.taken.append(moment)
        return moment
