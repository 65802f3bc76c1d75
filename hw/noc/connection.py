"""Connections: which sub-core is at the other end of a tag."""

from __future__ import annotations

from dataclasses import dataclass

from hw.isa import UNITS

__all__ = ["PLACE_BITS", "Connection", "Place"]

PLACE_BITS = 4
"""Bits of a column, and of a row: a mesh has 16 of each at most, over all its chips."""

Place = tuple[int, int]
"""Column and row of a core, from the north-west corner of the mesh."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The other end of a tag: a sub-core, ``fp`` or ``bp``, of a core."""

    place: Place
    subcore: str

    def __post_init__(self) -> None:
        if self.subcore not in UNITS:
            raise ValueError(f"subcore must be one of {', '.join(UNITS)}, not {self.subcore!r}")
