"""The instructions of a sub-core, gathered from its units and its controller.

All sizes are in tiles of ``lanes`` channels, pixels, rows, or words of the SRAM in question; an
address counts words. Strides go from one item to the next and may be negative. The row of an
instruction stands beside the command that it becomes.
"""

from __future__ import annotations

import functools

from backspike.hw.isa.control import (
    BOX_MESSAGES,
    BOXES,
    LOOP_LEVELS,
    LOOP_STEPS,
    REGISTERS,
    WORD_MAX,
    Wait,
    barrier,
    loop,
)
from backspike.hw.isa.instruction import Instruction
from backspike.hw.isa.noc.instructions import Control
from backspike.hw.isa.operands import IsaShape
from backspike.hw.isa.units import INNER_ROUTES, OWN_ROUTES, ROUTES, SRAMS, UNIT_TABLE, UNITS

__all__ = [
    "BOXES",
    "BOX_MESSAGES",
    "INNER_ROUTES",
    "LOOP_LEVELS",
    "LOOP_STEPS",
    "OUTSTANDING",
    "OWN_ROUTES",
    "REGISTERS",
    "ROUTES",
    "SRAMS",
    "UNITS",
    "WORD_MAX",
    "Control",
    "IsaShape",
    "Wait",
    "instruction_set",
]

OUTSTANDING = 2
"""Instructions of a unit that are decoded and not done, at most: the decoder waits for more."""


@functools.cache
def instruction_set(shape: IsaShape, subcore: str) -> dict[str, Instruction]:
    """The instructions of a sub-core, ``fp`` or ``bp``, by mnemonic.

    Raises
    ------
    ValueError
        If one names another unit than that of its row, or has the opcode of another one.
    """
    instructions = []
    for unit in UNIT_TABLE[subcore].values():
        for each in unit.instructions(shape):
            if each.unit != unit.name:
                raise ValueError(
                    f"{each.mnemonic} must be for unit {unit.name}, in whose row it stands, "
                    f"not for {each.unit}"
                )
            instructions.append(each)
    instructions += [barrier(0x0F, UNITS[subcore]), loop(0x10)]
    opcodes: dict[int, str] = {}
    for each in instructions:
        first = opcodes.setdefault(each.opcode, each.mnemonic)
        if first != each.mnemonic:
            raise ValueError(
                f"{each.mnemonic} must have an opcode of its own, not {each.opcode:#04x}, "
                f"which {first} has"
            )
    return {each.mnemonic: each for each in instructions}
