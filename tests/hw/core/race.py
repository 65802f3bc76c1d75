"""Random programs whose units and sub-cores work at the same time wherever nothing forbids it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from backspike.compiler.assembling.program import Program
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.order.touch import Touch
from backspike.hw.config import ChipConfig
from backspike.hw.isa.table import Control, IsaShape, instruction_set
from tests.hw.core.draw import COMPUTES, Draw, draw_instruction, outward

__all__ = ["racing_programs"]

ROUNDS = 3
"""Times that one sub-core writes SRAMs of the other."""
INSTRUCTIONS = 10
"""Of each sub-core between two of them."""
READY, WRITTEN, SEEN = range(3)
"""Message boxes: who is written to waits; the other one has written; this is noted."""


class _Racer:
    """The program of a sub-core, with the barriers that :class:`OrderedProgram` puts in."""

    def __init__(
        self, random: np.random.Generator, config: ChipConfig, subcore: str, dram: tuple[int, int]
    ):
        self.subcore = subcore
        self.program = OrderedProgram(config, subcore)
        self.instructions = instruction_set(IsaShape.from_config(config), subcore)
        self._random = random
        self._draw = Draw(random, config, dram=dram)

    def work(self, count: int) -> None:
        """Instructions that leave the other sub-core alone; some of them in a loop."""
        for _ in range(count):
            if self._random.random() < 0.05:
                with self.program.loop(int(self._random.integers(1, 4)), reason="again"):
                    for _ in range(3):
                        self._any()
            elif self._random.random() < 0.05:
                self.control(Control.CLEAR)
            else:
                self._any()

    def _any(self) -> None:
        while True:
            mnemonic = str(self._random.choice(list(COMPUTES[self.subcore])))
            operands = draw_instruction(self._draw, self.subcore, mnemonic)
            if mnemonic != "NOC_DATA" or not outward(self.subcore, operands):
                self.program.add(mnemonic, operands, reason="")
                return

    def draw_outward(self) -> dict[str, int]:
        """Operands of a copy to an SRAM of the other sub-core."""
        while True:
            operands = draw_instruction(self._draw, self.subcore, "NOC_DATA")
            if outward(self.subcore, operands):
                return operands

    def copy(self, operands: Mapping[str, int], *boxes: int) -> None:
        """NOC_DATA, behind a message from each of ``boxes``."""
        self.program.add("NOC_DATA", operands, reason="", boxes=boxes)

    def written(self, copy: Mapping[str, int]) -> list[Touch]:
        """What a copy does to an SRAM of the other sub-core."""
        instruction = self.instructions["NOC_DATA"]
        touches = [Touch(*each) for each in instruction.accesses(instruction.fill(copy))]
        return [each for each in touches if each.writes]

    def control(
        self,
        flow: Control,
        box: int = 0,
        boxes: tuple[int, ...] = (),
        exchanged: Iterable[Touch] = (),
    ) -> None:
        """NOC_CTRL."""
        operands = {"flow_type": flow.value, "msg_box": box}
        self.program.add("NOC_CTRL", operands, reason="", boxes=boxes, exchanged=exchanged)


def racing_programs(
    random: np.random.Generator, config: ChipConfig, *, dram: Mapping[str, tuple[int, int]]
) -> list[Program]:
    """Programs for both sub-cores, each with a part of DRAM.

    Between rounds one of them has to wait while the other one writes to it.
    """
    racers = [_Racer(random, config, subcore, dram[subcore]) for subcore in COMPUTES]
    for _ in range(ROUNDS):
        for racer in racers:
            racer.work(INSTRUCTIONS)
        giver, taker = (racers[number] for number in random.permutation(2))
        copies = [giver.draw_outward() for _ in range(2)]
        written = [touch for copy in copies for touch in giver.written(copy)]
        collects = giver.subcore == "bp" and random.integers(2)
        if collects:
            # What the taker computes sets statuses in front of that, or behind it.
            written.append(Touch("status", 0, 0, True))
        taker.control(Control.SIGNAL, READY, exchanged=written)
        giver.copy(copies[0], READY)
        giver.work(2)
        giver.copy(copies[1])
        if collects:
            giver.control(Control.COLLECT)
        giver.control(Control.SIGNAL, WRITTEN)
        taker.control(Control.SIGNAL, SEEN, boxes=(WRITTEN,), exchanged=written)
    for racer in racers:
        racer.work(INSTRUCTIONS)
        if random.integers(2):
            racer.program.rearrange()
    return [racer.program.finish() for racer in racers]
