"""Programs and memory contents that a core and its model are both given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.assembling.program import Program
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import LONE_CORE
from backspike.hw.isa.encoding import WORD_BYTES
from backspike.hw.isa.table import UNITS, IsaShape
from backspike.sim.model.machine import Memories
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.machine.controller import Outcome
from tests.hw.core.draw import Draw, draw_instruction

__all__ = ["PROGRAM_BYTES", "Expected", "Scene", "finite", "serial_program"]

PROGRAM_BYTES = 1 << 14
"""Bytes of DRAM that a program has, one behind the other from 0 on; data lie behind them."""


class Expected(NamedTuple):
    """What programs leave behind."""

    outcomes: dict[str, Outcome]
    memories: Memories
    dram: NDArray[np.uint8]

    def equals(self, other: Expected) -> bool:
        """Whether all of it is the same."""
        return (
            self.outcomes == other.outcomes
            and not self.memories.differences(other.memories)
            and bool(np.array_equal(self.dram, other.dram))
        )


@dataclass
class Scene:
    """What is in the memories before programs run."""

    config: ChipConfig
    memories: Memories
    dram: NDArray[np.uint8]
    programs: dict[str, int]
    """Their addresses."""
    lengths: dict[str, int]
    """Their bytes."""

    @classmethod
    def of(
        cls,
        random: np.random.Generator,
        config: ChipConfig,
        dram_bytes: int,
        programs: dict[str, list[int]],
    ) -> Scene:
        """Memories full of numbers, and the programs, as words, in DRAM."""
        memories = Memories(config)
        for name, words in memories.raw.items():
            words[:] = finite(random, config, name, words)
        dram = random.integers(0, 256, dram_bytes, dtype=np.uint8)
        places, lengths = {}, {}
        for number, (subcore, words) in enumerate(programs.items()):
            places[subcore] = number * PROGRAM_BYTES
            lengths[subcore] = len(words) * WORD_BYTES
            raw = np.array(words, "<u4").view(np.uint8)
            assert len(raw) <= PROGRAM_BYTES
            dram[places[subcore] : places[subcore] + len(raw)] = raw
        return cls(config, memories, dram, places, lengths)

    def expected(self, order=None) -> Expected:
        """What the model makes of it."""
        model = ChipModel(self.config, {LONE_CORE: self.dram.copy()}, order=order)
        core = model.cores[LONE_CORE]
        for name, words in self.memories.raw.items():
            core.memories.raw[name][:] = words
        outcomes = model.run({LONE_CORE: self.programs})
        return Expected(outcomes[LONE_CORE], core.memories, core.dram)


def finite(random: np.random.Generator, config: ChipConfig, name: str, words) -> NDArray[np.uint8]:
    """Contents of an SRAM: mostly moderate numbers, so that sums do not all become NaN."""
    kind = name.partition(".")[2]
    lanes = config.array.lanes
    count = len(words)
    if kind.startswith("conv"):
        values = random.integers(-(1 << 40), 1 << 40, (count, lanes))
        return values.view(np.uint8).reshape(count, -1)
    if kind == "dw":
        values32 = random.normal(size=(count, lanes)).astype(np.float32)
        return values32.view(np.uint8).reshape(count, -1)
    raw = random.integers(0, 256, words.shape, dtype=np.uint8)
    if kind in ("s_in", "s_out", "spike", "s"):
        return raw & random.integers(0, 256, words.shape, dtype=np.uint8)
    codes = raw.view(f"<u{config.format.width // 8}")
    # A third of them zero; exponents away from the top.
    top = 1 << (config.format.width - 2)
    codes &= np.array(~top & ((1 << config.format.width) - 1)).astype(codes.dtype)
    codes *= (random.random(codes.shape) < 0.67).astype(codes.dtype)
    return codes.view(np.uint8)


def serial_program(
    random: np.random.Generator,
    config: ChipConfig,
    subcore: str,
    mnemonics: list[str],
    *,
    dram: tuple[int, int],
) -> Program:
    """The instructions, each behind the one in front of it."""
    program = Program(IsaShape.from_config(config), subcore)
    draw = Draw(random, config, dram=dram)
    for mnemonic in mnemonics:
        program.add(mnemonic, draw_instruction(draw, subcore, mnemonic), reason="")
        program.barrier(UNITS[subcore], after=UNITS[subcore], reason="one after the other")
    program.end()
    assert len(program.words) * WORD_BYTES <= PROGRAM_BYTES
    return program
