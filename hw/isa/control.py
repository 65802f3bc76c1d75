"""BARRIER and LOOP: what the controller does itself."""

from __future__ import annotations

import enum

from backspike.hw.isa.instruction import Instruction, Operand
from backspike.hw.isa.operands import ADDRESS_MAX, choices, count, numbered

__all__ = ["Wait", "barrier", "loop"]


class Wait(enum.Enum):
    """``sub_type`` of BARRIER."""

    WAIT = 0
    END = 1


def barrier(opcode: int, units: tuple[str, ...], boxes: int) -> Instruction:
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
            Operand("boxes", 0, (1 << boxes) - 1, "bits of the message boxes"),
        ),
    )


def loop(opcode: int, registers: int, steps: int) -> Instruction:
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
                for step in range(steps)
                for operand in (
                    Operand(
                        f"register_{step}", 0, registers - 1, "address register, or 0 for none"
                    ),
                    Operand(f"step_{step}", -(1 << 31), (1 << 31) - 1, "what is added to it"),
                )
            ),
        ),
    )
