"""What the commands of every chip have room for, whatever its configuration."""

from __future__ import annotations

__all__ = [
    "ADDRESS_BITS",
    "COUNT_BITS",
    "LANE_BITS",
    "PLANE_BITS",
    "PLANE_MAX",
    "POOLING_MAX",
    "TAP_BITS",
    "TAP_MAX",
    "WORD_BITS",
    "check_whole",
]

WORD_BITS = 32
"""Bits of a word of a program, of an address register, and of a register of the host."""
ADDRESS_BITS = 16
"""Bits of every on-chip address. An address counts words of the SRAM it goes to."""
COUNT_BITS = 12
"""Bits of a loop's trip count."""

LANE_BITS = 7
"""Bits of a number of lanes: up to 64."""

TAP_BITS = 3
TAP_MAX = (1 << TAP_BITS) - 1
"""Largest kernel size, stride and padding, in pixels."""
PLANE_BITS = 4
PLANE_MAX = (1 << PLANE_BITS) - 1
"""Largest number b of a bit plane of a direct input, which counts 2**-b."""
POOLING_MAX = 4
"""Largest window of max-pooling, in pixels a side."""


def check_whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """``value``, or a ValueError, in one sentence, if it is no whole number in that range."""
    if type(value) is int and low <= value and (high is None or value <= high):
        return value
    allowed = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise ValueError(f"{name} must be a whole number {allowed}, not {value!r}")
