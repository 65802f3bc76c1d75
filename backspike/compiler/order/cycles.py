"""What the rows of units do not tell of the cycles of instructions: zeros in data, and decoding."""

from __future__ import annotations

import functools

from backspike.hw.control.microcode import Microcode
from backspike.hw.isa.table import IsaShape, instruction_set

__all__ = ["DENSITY", "decode_cycles"]

BETWEEN = 10
"""Cycles of the decoder for an instruction beside those of its words and checks."""
DENSITY = {"FP_CONV": 0.45, "BP_CONV": 0.7, "WG_CONV": 0.25}
"""Share of the dense cycles that arrays need, about."""


@functools.cache
def decode_cycles(shape: IsaShape, subcore: str) -> dict[str, int]:
    """Cycles that a decoder takes for an instruction, by mnemonic."""
    instructions = instruction_set(shape, subcore)
    checks = Microcode(instructions).programs
    return {name: instructions[name].words + len(each) + BETWEEN for name, each in checks.items()}
