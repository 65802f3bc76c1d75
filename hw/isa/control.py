"""BARRIER and LOOP: what the controller does itself."""

from __future__ import annotations

import enum

from backspike.hw.isa.instruction import SELECTORS, Instruction, Operand
from backspike.hw.isa.operands import ADDRESS_MAX, choices, count, numbered
from backspike.hw.limits import WORD_BITS

__all__ = [
    "BOXES",
    "BOX_MESSAGES",
    "LOOP_LEVELS",
    "LOOP_STEPS",
    "REGISTERS",
    "REGISTER_BITS",
    "STEP_OPERANDS",
    "WORD_MAX",
    "Wait",
    "barrier",
    "loop",
]

REGISTER_BITS = WORD_BITS // SELECTORS
"""Bits of the number of an address register."""
REGISTERS = 1 << REGISTER_BITS
"""Address registers of a sub-core, which LOOP steps; number 0 is always 0."""
WORD_MAX = (1 << WORD_BITS) - 1
"""Largest number in a word of a program, and in an address register."""
LOOP_LEVELS = 4
"""Loops that may be inside each other."""
LOOP_STEPS = 6
"""Address registers that a loop may step."""
STEP_OPERANDS = tuple((f"register_{step}", f"step_{step}") for step in range(LOOP_STEPS))
"""Operands of LOOP: an address register, and what is added to it."""
BOXES = 8
"""Message boxes of a sub-core."""
BOX_MESSAGES = 15
"""Messages that a box holds; who sends to a full one waits."""


class Wait(enum.Enum):
    """``sub_type`` of BARRIER."""

    WAIT = 0
    END = 1


def barrier(opcode: int, units: tuple[str, ...]) -> Instruction:
    mask = (1 << len(units)) - 1
    return Instruction(
        "BARRIER",
        opcode,
        "control",
        "The next instruction of each of ``units`` waits for all those of ``after`` in front of "
        "the barrier, and takes a message out of each of ``boxes``. END waits for all units, and "
        "is the end of the program.",
        (
            Operand("sub_type", 0, len(Wait) - 1, choices(Wait)),
            Operand("units", 0, mask, f"bits of the units that wait: {numbered(units)}"),
            Operand("after", 0, mask, "bits of the units that they wait for"),
            Operand("boxes", 0, (1 << BOXES) - 1, "bits of the message boxes"),
        ),
    )


def loop(opcode: int) -> Instruction:
    return Instruction(
        "LOOP",
        opcode,
        "control",
        "Repeats the instructions behind it. After each time but the last, steps are added to "
        "address registers; after the last, these are again what they were before the loop.",
        (
            count("count", "times that the body runs"),
            Operand("length", 1, ADDRESS_MAX, "words of the body"),
            *(
                operand
                for register, step in STEP_OPERANDS
                for operand in (
                    Operand(register, 0, REGISTERS - 1, "address register, or 0 for none"),
                    Operand(step, -(1 << 31), (1 << 31) - 1, "what is added to it"),
                )
            ),
        ),
    )
