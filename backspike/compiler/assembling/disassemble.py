"""Programs as text for people: each instruction with its operands and its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backspike.hw.isa.encoding import WORD_BYTES, fetch
from backspike.hw.isa.instruction import Instruction, ProgramError
from backspike.hw.isa.table import BOXES, UNITS

__all__ = ["lines"]

INDENT = "  "


def lines(
    words: Sequence[int],
    instructions: Mapping[str, Instruction],
    subcore: str,
    reasons: Mapping[int, str],
    *,
    phases: Mapping[int, str] | None = None,
) -> Iterator[str]:
    """One line an instruction: address in bytes, mnemonic, operands that are not 0, reason.

    ``+r1`` behind an operand is the address register that is added to it; the bodies of loops are
    indented, and a line says where a phase begins. What is no instruction ends the listing with a
    line that says why.
    """
    ends: list[int] = []
    position = 0
    while position < len(words):
        while ends and position >= ends[-1]:
            ends.pop()
        if phases and position in phases:
            yield f"        -- {phases[position]}"
        try:
            found = fetch(words, position, instructions.values())
        except ProgramError as error:
            yield f"{position * WORD_BYTES:06x}  not an instruction: {error}"
            return
        instruction = found.instruction
        shown = []
        for operand in instruction.operands:
            value, register = found.operands[operand.name], found.registers.get(operand.name, 0)
            if instruction.mnemonic == "BARRIER" and value:
                names = {"boxes": [str(box) for box in range(BOXES)]}.get(
                    operand.name, UNITS[subcore]
                )
                if operand.name != "sub_type":
                    parts = [each for bit, each in enumerate(names) if value >> bit & 1]
                    shown.append(f"{operand.name}={'+'.join(parts)}")
                else:
                    shown.append("END")
            elif value or register:
                shown.append(f"{operand.name}={value}{f'+r{register}' if register else ''}")
        text = f"{INDENT * len(ends)}{instruction.mnemonic} {' '.join(shown)}"
        reason = reasons.get(position, "")
        yield f"{position * WORD_BYTES:06x}  {text}" + (f"  ; {reason}" if reason else "")
        position += instruction.words
        if instruction.mnemonic == "LOOP":
            ends.append(position + found.operands["length"])
