"""Instructions as the words that lie in DRAM, and back.

A word has 32 bits, little-endian. An instruction is a header, ``opcode | words << 8``, and its
operands in the order of the table; in front of each eight of them stands a word with four bits
for each, the lowest for the first: the address register that the hardware adds to it, or 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from backspike.hw.isa.control import REGISTER_BITS, REGISTERS, WORD_MAX
from backspike.hw.isa.instruction import SELECTORS, Fault, Instruction, ProgramError
from backspike.hw.limits import WORD_BITS

__all__ = ["WORD_BYTES", "Decoded", "encode_words", "fetch"]

WORD_BYTES = WORD_BITS // 8


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """One instruction, before its address registers are added."""

    instruction: Instruction
    position: int
    """Of its header, in words from the beginning of the program."""
    operands: Mapping[str, int]
    registers: Mapping[str, int] = field(default_factory=dict)
    """Address register of each operand that has one."""

    def values(self, address_registers: Sequence[int]) -> dict[str, int]:
        """The operands as the hardware uses them, modulo 2**32 and with the sign that they have."""
        found = {}
        for operand in self.instruction.operands:
            value = self.operands[operand.name]
            value += address_registers[self.registers.get(operand.name, 0)]
            found[operand.name] = _signed(value, operand.low < 0)
        return found


def _signed(value: int, signed: bool) -> int:
    value &= WORD_MAX
    return value - (1 << WORD_BITS) if signed and value >> WORD_BITS - 1 else value


def encode_words(
    instruction: Instruction,
    operands: Mapping[str, int],
    registers: Mapping[str, int] | None = None,
) -> list[int]:
    """The words of an instruction with all its operands.

    Raises
    ------
    ValueError
        If an address register is none.
    """
    registers = registers or {}
    for name, register in registers.items():
        if not 0 <= register < REGISTERS:
            raise ValueError(
                f"the address register of {name} must be from 0 to {REGISTERS - 1}, not {register}"
            )
    words = [instruction.opcode | instruction.words << 8]
    names = [operand.name for operand in instruction.operands]
    for first in range(0, len(names), SELECTORS):
        part = names[first : first + SELECTORS]
        words.append(
            sum(registers.get(name, 0) << REGISTER_BITS * i for i, name in enumerate(part))
        )
        words += [operands[name] & WORD_MAX for name in part]
    return words


class WordSequence(Protocol):
    """Program words by their position; those that cannot be read raise IndexError."""

    def __getitem__(self, position: int, /) -> int: ...


def fetch(
    word_at: WordSequence,
    position: int,
    instructions: Iterable[Instruction],
) -> Decoded:
    """The instruction that begins at ``position``, as the hardware takes it.

    Raises
    ------
    ProgramError
        If it is none, or a word of it cannot be read.
    """

    def word(at: int) -> int:
        try:
            return word_at[at]
        except IndexError:
            raise ProgramError(Fault.FETCH, f"word {at} of the program cannot be read") from None

    header = word(position)
    opcode = header & 0xFF
    known = {each.opcode: each for each in instructions if each.built}
    if opcode not in known:
        raise ProgramError(Fault.OPCODE, f"{opcode:#04x} is no opcode of this sub-core")
    instruction = known[opcode]
    if header >> 8 != instruction.words:
        raise ProgramError(
            Fault.LENGTH,
            f"the upper bits of the header must be {instruction.words}, the words of "
            f"{instruction.mnemonic}, not {header >> 8}",
        )
    operands, registers = {}, {}
    at = position
    for index, operand in enumerate(instruction.operands):
        if index % SELECTORS == 0:
            at += 1
            selectors = word(at)
        at += 1
        operands[operand.name] = _signed(word(at), operand.low < 0)
        register = selectors >> REGISTER_BITS * (index % SELECTORS) & (REGISTERS - 1)
        if register:
            registers[operand.name] = register
    return Decoded(
        instruction=instruction, position=position, operands=operands, registers=registers
    )
