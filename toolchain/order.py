"""The order in which a sub-core decodes instructions.

It decodes one after the other, and stops at an instruction for a unit in which one waits already.
So those that come too early keep others, for whatever unit, from starting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from toolchain.hazards import Touch

__all__ = ["Work", "decode_order"]

ARRAYS = ("fp", "bp", "wg")
"""Units that the others work for."""


class Work(Protocol):
    """An instruction."""

    unit: str
    cycles: int
    """About how long the unit works on it."""
    touches: Sequence[Touch]


class _Use(NamedTuple):
    """That an instruction touches something."""

    touch: Touch
    end: int
    """When it is done."""
    decoded: int
    """When it is decoded."""


class _Space:
    """What was touched in an SRAM, or in DRAM."""

    def __init__(self) -> None:
        self._uses: list[_Use] = []

    def met(self, touch: Touch) -> Iterator[_Use]:
        """All that ``touch`` has to wait for."""
        return (use for use in self._uses if touch.conflicts(use.touch))

    def add(self, new: _Use) -> None:
        """Adds one, and forgets those for which nothing would wait any longer than for it."""
        self._uses = [use for use in self._uses if not _hides(new, use)]
        self._uses.append(new)


def _hides(new: _Use, old: _Use) -> bool:
    inside = new.touch.first <= old.touch.first and old.touch.last <= new.touch.last
    later = new.end >= old.end and new.decoded >= old.decoded
    return inside and later and new.touch.writes >= old.touch.writes


def decode_order(works: Sequence[Work]) -> list[int]:
    """Their numbers in the order in which to decode them.

    It is that in which they would start if none had to wait for the decoder. Only those of arrays
    come in front of that, when the one before them starts: so they are there in time even if
    something between them takes longer than was estimated. Those of a unit stay in order, and so
    do those that touch the same.
    """
    spaces: dict[str, _Space] = defaultdict(_Space)
    free: dict[str, int] = defaultdict(int)
    """When a unit is done with all it has."""
    last: dict[str, int] = defaultdict(int)
    """When it starts the last one."""
    order = []
    for work in works:
        met = [use for each in work.touches for use in spaces[each.space].met(each)]
        start = max(free[work.unit], max((use.end for use in met), default=0))
        decoded = start
        if work.unit in ARRAYS:
            decoded = max(last[work.unit], max((use.decoded for use in met), default=0))
        end = start + work.cycles
        for each in work.touches:
            spaces[each.space].add(_Use(each, end, decoded))
        free[work.unit], last[work.unit] = end, start
        order.append(decoded)
    return sorted(range(len(works)), key=order.__getitem__)
