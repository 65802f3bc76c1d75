"""The order in which a sub-core decodes instructions.

It decodes one after the other, and stops at an instruction for a unit in which one waits already.
So those that come too early keep others, for whatever unit, from starting.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from backspike.compiler.order.touch import Touch
from backspike.hw.isa.units import UNIT_TABLE

__all__ = ["AHEAD", "ARRAYS", "START", "Moment", "Timeline"]

ARRAYS = frozenset(
    name for units in UNIT_TABLE.values() for name, unit in units.items() if unit.array
)
"""Units that the others work for."""
AHEAD = 100
"""So many instructions back is the one that none may start before."""


@dataclass(frozen=True, eq=False)
class Moment:
    """Of an instruction, about: when it is best decoded, and when it is done."""

    decoded: int
    done: int


START = Moment(0, 0)
"""The beginning of all programs."""


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

    def add(self, new: _Use, floor: int) -> None:
        """Adds one, and forgets those for which nothing would wait any longer than for it.

        And those that are done by the cycle ``floor``.
        """
        self._uses = [use for use in self._uses if use.end > floor and not _hides(new, use)]
        self._uses.append(new)


def _hides(new: _Use, old: _Use) -> bool:
    inside = new.touch.first <= old.touch.first and old.touch.last <= new.touch.last
    later = new.end >= old.end and new.decoded >= old.decoded
    return inside and later and new.touch.writes >= old.touch.writes


class Timeline:
    """When instructions start if none has to wait for the decoder.

    Attributes
    ----------
    free : mapping of unit to int
        When it is done with all it has.
    """

    def __init__(self) -> None:
        self.free: dict[str, int] = defaultdict(int)
        self._starts: deque[int] = deque(maxlen=AHEAD)
        self._floor = 0
        self._last: dict[str, int] = defaultdict(int)
        self._spaces: dict[str, _Space] = defaultdict(_Space)

    def fence(self) -> None:
        """What is added from here on waits for all in front of it."""
        end = max(self.free.values(), default=0)
        self.free, self._last = (defaultdict(lambda: end) for _ in range(2))
        self._spaces.clear()

    def add(self, unit: str, cycles: int, touches: Sequence[Touch], comes: Moment) -> Moment:
        """Adds an instruction.

        It is best decoded when it starts; for an array, already when the one before it does: so it
        is there in time even if something between the two takes longer than was estimated. Sorted
        by these cycles, those of a unit stay in order, and so do those that touch the same. And
        whoever takes a message is behind who sends it: so no two programs wait for each other.

        Parameters
        ----------
        cycles : int
            About how long it works.
        comes : Moment
            Of the instruction that sends a message that it waits for.
        """
        met = [use for each in touches for use in self._spaces[each.space].met(each)]
        if len(self._starts) == AHEAD:
            self._floor = max(self._floor, self._starts[0])
        start = max([self.free[unit], comes.done, self._floor, *(use.end for use in met)])
        decoded = start
        if unit in ARRAYS:
            before = (use.decoded for use in met)
            decoded = max([self._last[unit], comes.decoded, self._floor, *before])
        end = start + cycles
        for each in touches:
            self._spaces[each.space].add(_Use(each, end, decoded), self._floor)
        self._starts.append(start)
        self.free[unit], self._last[unit] = end, start
        return Moment(decoded, end)
