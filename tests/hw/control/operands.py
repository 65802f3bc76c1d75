"""Random operands of an instruction, for those tests that compute what it makes of them."""

from __future__ import annotations

from backspike.hw.control.microcode import VALUE_BITS

__all__ = ["some_operands"]

LARGEST = (1 << VALUE_BITS - 1) - 1
"""The decoder cuts longer operands off; none of those is computed with."""


def some_operands(rng, instruction):
    """Operands in their ranges: small ones, which pass more checks, and corners."""
    corners = rng.random() < 0.4
    values = {}
    for operand in instruction.operands:
        low, high = max(operand.low, -LARGEST), min(operand.high, LARGEST)
        choices = [rng.randint(max(low, -3), min(high, max(low, 3))), max(low, 0)]
        choices += [low, high, rng.randint(low, high)] if corners else [min(high, 60)]
        choices.append(max(low, min(high, 1 << rng.randrange(12))))
        values[operand.name] = rng.choice(choices)
    return values
