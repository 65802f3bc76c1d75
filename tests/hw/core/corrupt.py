"""Programs for both sub-cores of which a word is changed, and whether their outcome is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from backspike.compiler.assembling.program import Program
from backspike.hw.config import ChipConfig
from backspike.hw.isa.instruction import ProgramError
from backspike.hw.isa.table import UNITS, WORD_MAX, IsaShape
from tests.hw.core.draw import COMPUTES, Draw, draw_instruction, outward, settled, work
from tests.hw.core.scene import Scene
from tests.sim.model.machine.races import PROGRAM, Unrolled, races

Operands = dict[str, int]

__all__ = ["WORK", "corrupted", "decided", "paired_scene"]

WORK = 4_000
"""Steps that all instructions of both programs take at most."""
DECODED = 300
"""Instructions that a program decodes at most."""
READY, WRITTEN, SEEN = range(3)
"""Message boxes: who is written to waits; the other one has written; this is noted."""


class _Author:
    """Writes the program of a sub-core: each instruction behind the one in front of it."""

    def __init__(
        self, random: np.random.Generator, config: ChipConfig, subcore: str, dram: tuple[int, int]
    ):
        self.subcore = subcore
        self.program = Program(IsaShape.from_config(config), subcore)
        self._random = random
        self._draw = Draw(random, config, dram=dram)
        self._bus_bytes = config.dram.bus_bits // 8

    def work(self) -> None:
        """An instruction that leaves the other sub-core alone."""
        self._add(*self._drawn())

    def loops(self) -> None:
        """A loop that steps an address, sometimes with another one inside of it."""
        self._loop(deeper=bool(self._random.integers(2)))

    def _loop(self, *, deeper: bool) -> None:
        mnemonic, operands, address, step, count = self._stepped()
        with self.program.loop(count, step, reason="again") as (more,):
            self._add(mnemonic, {**operands, address: more + operands[address]})
            if deeper:
                self._loop(deeper=False)

    def _stepped(self) -> tuple[str, Operands, str, int, int]:
        """An instruction, one of its addresses, and by what it is stepped how often."""
        while True:
            mnemonic, operands = self._drawn()
            instruction = self.program.instructions[mnemonic]
            places = [name for name in operands if name.endswith(("base", "source", "dram"))]
            if not places:
                continue
            address, count = str(self._random.choice(places)), int(self._random.integers(2, 4))
            step = int(self._random.integers(-3, 4))
            step *= self._bus_bytes if address == "dram" else 1
            rounds = [{**operands, address: operands[address] + i * step} for i in range(count)]
            try:
                if all(settled(instruction, each) for each in rounds):
                    return mnemonic, operands, address, step, count
            except ProgramError:
                continue

    def _drawn(self) -> tuple[str, Operands]:
        while True:
            mnemonic = str(self._random.choice(list(COMPUTES[self.subcore])))
            operands = draw_instruction(self._draw, self.subcore, mnemonic)
            if mnemonic != "NOC_DATA" or not outward(self.subcore, operands):
                return mnemonic, operands

    def _add(self, mnemonic: str, operands: Mapping) -> None:
        self.program.add(mnemonic, operands, reason="")
        units = UNITS[self.subcore]
        self.program.barrier(units, after=units, reason="one after the other")

    def take(self, box: int) -> None:
        """What ``noc`` does next waits for a message."""
        self.program.barrier("noc", boxes=[box], reason="the other sub-core is ready")

    def tell(self, box: int) -> None:
        """A message."""
        self._add("NOC_CTRL", {"msg_box": box})

    def give(self) -> None:
        """A copy to an SRAM of the other sub-core."""
        while True:
            operands = draw_instruction(self._draw, self.subcore, "NOC_DATA")
            if outward(self.subcore, operands):
                return self._add("NOC_DATA", operands)


def _paired_programs(
    random: np.random.Generator, config: ChipConfig, *, dram: Mapping[str, tuple[int, int]]
) -> list[Program]:
    """Programs for both sub-cores, side by side; in some, one writes to the other's SRAMs."""
    authors = [_Author(random, config, subcore, dram[subcore]) for subcore in COMPUTES]
    for author in authors:
        author.work()
        author.loops()
    # Where there are messages, half of the programs with a wrong word end with a time-out.
    if random.integers(3) == 0:
        giver, taker = (authors[number] for number in random.permutation(2))
        taker.tell(READY)
        giver.take(READY)
        giver.give()
        giver.tell(WRITTEN)
        taker.take(WRITTEN)
        taker.tell(SEEN)
    for author in authors:
        author.work()
        author.program.end()
    return [author.program for author in authors]


def paired_scene(
    random: np.random.Generator,
    config: ChipConfig,
    dram_bytes: int,
    *,
    dram: Mapping[str, tuple[int, int]],
) -> Scene:
    """Such programs, and memories full of numbers."""
    while True:
        programs = _paired_programs(random, config, dram=dram)
        words = {each.subcore: each.words for each in programs}
        scene = Scene.of(random, config, dram_bytes, words)
        if decided(scene):
            return scene


def corrupted(random: np.random.Generator, scene: Scene) -> tuple[Scene, bool]:
    """The scene with a word of its programs changed, and whether the outcome is decided by them.

    A bit of the word is changed, or it is one more or less, or anything.
    """
    while True:
        dram = scene.dram.copy()
        subcore = str(random.choice(list(scene.programs)))
        words = dram[scene.programs[subcore] :][: scene.lengths[subcore]].view("<u4")
        at = int(random.integers(len(words)))
        words[at] = [
            int(words[at]) ^ 1 << int(random.integers(32)),
            int(random.integers(1 << 32)),
            int(words[at]) + int(random.choice([-1, 1])) & WORD_MAX,
        ][int(random.integers(3))]
        changed = dataclasses.replace(scene, dram=dram)
        known = decided(changed)
        if known is not None:
            return changed, known


def decided(scene: Scene) -> bool | None:
    """Whether the outcome does not depend on the pace of engines.

    None if it would take long, or if nobody knows what is executed.
    """
    try:
        programs = Unrolled(scene.config, scene.dram, scene.programs, limit=DECODED)
    except ValueError:
        return None
    entries = [step.entry for steps in programs.steps.values() for step in steps]
    if sum(work(each.instruction, each.operands) for each in entries) > WORK:
        return None
    found = races(programs)
    if any(race.over == PROGRAM for race in found):
        return None
    return not found and all(settled(each.instruction, each.operands) for each in entries)
