"""Whole programs, instruction by instruction, as tests look at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backspike.hw.isa.encoding import Decoded, fetch
from backspike.hw.isa.instruction import Instruction

__all__ = ["decode_words"]


def decode_words(words: Sequence[int], instructions: Iterable[Instruction]) -> Iterator[Decoded]:
    """All instructions of a program, one behind the other."""
    position = 0
    instructions = list(instructions)
    while position < len(words):
        found = fetch(words, position, instructions)
        yield found
        position += found.instruction.words
