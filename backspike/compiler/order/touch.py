"""What an instruction reads or writes: two that touch the same may not change places."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Touch"]


class Touch(NamedTuple):
    """Words of an SRAM, or bytes of DRAM, that an instruction reads or writes."""

    space: str
    first: int
    last: int
    writes: bool

    def conflicts(self, other: Touch) -> bool:
        """Whether the two may not change places."""
        return (
            self.space == other.space
            and (self.writes or other.writes)
            and self.first <= other.last
            and other.first <= self.last
        )
