"""Connections: which sub-core is at the other end of a tag."""

from __future__ import annotations

from dataclasses import dataclass

from backspike.hw.core.map import BY_NAME
from backspike.hw.isa.table import UNITS

__all__ = ["LONE_CORE", "Connection", "Place"]

Place = tuple[int, int]
"""Column and row of a core, from the north-west corner of the mesh."""
LONE_CORE: Place = (0, 0)
"""Where a core is that makes up the whole mesh."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The other end of a tag: a sub-core, ``fp`` or ``bp``, of a core."""

    place: Place
    subcore: str

    def __post_init__(self) -> None:
        if self.subcore not in UNITS:
            raise ValueError(f"subcore must be one of {', '.join(UNITS)}, not {self.subcore!r}")

    def word(self, tag: int, own: str) -> int:
        """What the host writes to ``connect`` to give it to a tag of the own sub-core ``own``."""
        (column, row), order = self.place, list(UNITS)
        return BY_NAME["connect"].pack(
            tag=tag,
            column=column,
            row=row,
            subcore=order.index(self.subcore),
            valid=1,
            own=order.index(own),
        )
