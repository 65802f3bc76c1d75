"""What the programs of both sub-cores are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hw.config import ChipConfig
from hw.conv.shape import EngineShape
from hw.isa import SRAMS
from hw.neuron.lowering import ElementOperands
from sim.model import encode
from sim.model.network import Network
from toolchain.hazards import OrderedProgram
from toolchain.program import At
from toolchain.step.layers import Lowered
from toolchain.step.layout import Layout
from toolchain.step.parts import Cut, Ring, Room, WeightRoom

__all__ = ["FORWARD_DONE", "Builder", "Setting"]

FORWARD_DONE = 0
"""Message box of the BP sub-core: the forward pass is in DRAM."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network on a core: what follows from both before an instruction is made."""

    network: Network
    config: ChipConfig
    batch: int
    rounds: tuple[range, ...]
    """Samples that go through all layers before the next ones do."""
    layers: list[Lowered]
    room: Room
    forward: list[Cut]
    backward: list[Cut]
    forward_weights: WeightRoom
    backward_weights: WeightRoom
    layout: Layout

    def code(self, value: float) -> int:
        """A number of the storage format."""
        return int(encode(value, self.network.format))


class Builder(OrderedProgram):
    """A program with what its instructions have in common."""

    def __init__(self, setting: Setting, subcore: str):
        super().__init__(setting.config, subcore)
        self.setting = setting
        array = setting.config.array
        self.engine = EngineShape.from_config(setting.config)
        self.elements = ElementOperands(
            lanes=array.lanes, pixels=array.spike_pixels, format=setting.config.format
        )

    def halves(self, sram: str) -> Ring:
        """The two halves of an SRAM."""
        return Ring(0, self.setting.room.words(f"{self.subcore}.{sram}", 2))

    def quarters(self, sram: str, first: int) -> Ring:
        """Two quarters of an SRAM, from number ``first`` on."""
        words = self.setting.room.words(f"{self.subcore}.{sram}", 4)
        return Ring(first * words, words)

    def move(
        self,
        mnemonic: str,
        sram: str,
        copies: Iterable[Mapping[str, int | At]],
        *,
        reason: str,
        boxes: tuple[int, ...] = (),
        comes: int = 0,
    ) -> None:
        """DMA_RD or DMA_WR of each of ``copies``; the first takes messages from ``boxes``."""
        number = SRAMS[self.subcore].index(sram)
        for copy in copies:
            operands = {**copy, "sram": number}
            self.add(mnemonic, operands, reason=reason, boxes=boxes, comes=comes)
            boxes, comes = (), 0
