"""Where barriers stand, so that instructions wait for those that touch the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from backspike.compiler.order.entry import PendingInstruction
from backspike.hw.isa.table import OUTSTANDING

__all__ = ["Barrier", "join", "placed"]


class Barrier(NamedTuple):
    """Units that wait for each other in turn, all of them for the others that are named."""

    among: frozenset[str]
    """Who waits, and what for: a unit waits for itself in any case."""
    boxes: tuple[int, ...] = ()


def placed(
    entries: Sequence[PendingInstruction], units: Sequence[str]
) -> dict[int, dict[Barrier, list[str]]]:
    """The barriers behind each entry, by its index (-1: in front of all), with who waits there."""
    issued: dict[str, list[int]] = {unit: [] for unit in units}
    done: list[dict[str, int]] = []
    """Of each entry: how many instructions of each unit are done when it is."""
    found: dict[int, dict[Barrier, list[str]]] = defaultdict(dict)
    for index, entry in enumerate(entries):
        own = issued[entry.unit]
        known = dict.fromkeys(units, 0)
        for unit, there in issued.items():
            # The controller has seen these done, or the unit itself has.
            count = len(there) if unit == entry.unit else len(there) - OUTSTANDING
            if count > 0:
                join(known, done[there[count - 1]])
        needs = []
        for other, number, unit in _outstanding(issued, entry.unit):
            if number < known[unit] or not _conflict(entry, entries[other]):
                continue
            # Between these two, a barrier makes it wait for this one, and for none behind it that
            # may still be at work when it starts. The later the better: who waits must have room.
            there = issued[unit]
            low = max(other, own[-1]) if own else other
            last = number
            while last + 1 < len(there) and (
                there[last + 1] <= low or entries[there[last + 1]].end <= entry.start
            ):
                last += 1
            high = there[last + 1] if last + 1 < len(there) else index
            join(known, done[there[last]])
            needs.append((high - 1, low, unit))
        for gap, after in _gathered(needs):
            _note(found[gap], Barrier(after | {entry.unit}), entry.unit)
        if entry.boxes:
            barrier = Barrier(frozenset({entry.unit}), entry.boxes)
            _note(found[index - 1], barrier, entry.unit)
        known[entry.unit] = len(own) + 1
        done.append(known)
        own.append(index)
    return found


def _outstanding(issued: Mapping[str, Sequence[int]], unit: str) -> list[tuple[int, int, str]]:
    """What other units may have at work, last first: index, number within its unit, and unit."""
    found = [
        (there[number], number, other)
        for other, there in issued.items()
        if other != unit
        for number in range(max(0, len(there) - OUTSTANDING), len(there))
    ]
    return sorted(found, reverse=True)


def join(known: dict[str, int], other: Mapping[str, int]) -> None:
    """Adds to how many instructions of each unit are ``known`` to be done."""
    for unit, count in other.items():
        known[unit] = max(known[unit], count)


def _conflict(entry: PendingInstruction, other: PendingInstruction) -> bool:
    return any(mine.conflicts(theirs) for mine in entry.touches for theirs in other.touches)


def _gathered(needs: list[tuple[int, int, str]]) -> Iterator[tuple[int, frozenset[str]]]:
    """As few places as serve all needs (last place, first place, unit), and the units of each."""
    left = sorted(needs)
    while left:
        gap = left[0][0]
        yield gap, frozenset(unit for _, low, unit in left if low <= gap)
        left = [need for need in left if need[1] > gap]


def _note(at: dict[Barrier, list[str]], barrier: Barrier, unit: str) -> None:
    waiting = at.setdefault(barrier, [])
    if unit not in waiting:
        waiting.append(unit)
