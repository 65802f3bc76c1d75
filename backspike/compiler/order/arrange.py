"""In which order decoders take the instructions of programs that run at the same time.

A decoder takes an instruction when its unit has room for it, and some cycles for each of its words.
With what all programs are about to do known, each instruction is put where it is decoded in time
and keeps no other one from starting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backspike.compiler.order.barriers import join
from backspike.compiler.order.entry import PendingInstruction
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.order.timeline import AHEAD, ARRAYS, START, Moment
from backspike.compiler.order.touch import Touch
from backspike.hw.isa.table import OUTSTANDING

__all__ = ["arrange"]

BARRIER = 17
"""Cycles of a barrier in front of an instruction."""
MARGIN = 150
"""Cycles that an instruction of an array is decoded before it can start.

Were it decoded as soon as there is room, what waits for the one at work would wait for it, too.
"""

SLACK = 1.5
"""Units that work for the arrays are taken to be so much slower than they are estimated.

What is decoded too early, and waits, holds up more than what is decoded a little late.
"""


def arrange(programs: Sequence[OrderedProgram]) -> int:
    """Puts what was added to the programs, up to the first loop or fence, in order.

    Those of a unit and work stay in order, and so do those that touch the same. Whoever takes a
    message is decoded behind who sends it, so that no two programs wait for each other for ever.

    Returns
    -------
    int
        About how many cycles it all takes.
    """
    for program in programs:
        for entry in program.entries:
            if entry.unit not in ARRAYS:
                entry.cycles = int(entry.cycles * SLACK)
    decoders = [_Decoder(program.entries) for program in programs]
    ends: dict[Moment, int] = {START: 0}
    waiting: dict[Moment, list[_Decoder]] = defaultdict(list)
    for decoder in decoders:
        for entry in decoder.entries:
            if entry.comes is not START:
                waiting[entry.comes].append(decoder)
        decoder.look(ends)
    while True:
        found = [decoder for decoder in decoders if decoder.choice]
        if not found:
            break
        decoder = min(found, key=lambda each: each.choice.at if each.choice else 0)
        moment = decoder.take(ends)
        for each in {decoder, *waiting.pop(moment, ())}:
            each.look(ends)
    for program, decoder in zip(programs, decoders, strict=True):
        program.reorder(decoder.order)
    return max(ends.values())


@dataclass(frozen=True)
class _Choice:
    """An instruction that is best decoded from cycle ``at`` on, and its start."""

    at: int
    number: int
    decoded: int
    start: int


class _Decoder:
    """The decoder of a sub-core: what it has decoded, and what it decodes next."""

    def __init__(self, entries: Sequence[PendingInstruction]):
        self.entries = entries
        self.order: list[int] = []
        self.choice: _Choice | None = None
        self._needs = list(_needs(entries))
        self._queues: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number in reversed(range(len(entries))):
            self._queues[entries[number].work, entries[number].unit].append(number)
        self._free = 0
        self._issued: dict[str, list[int]] = {entry.unit: [] for entry in entries}
        self._place: dict[int, int] = {}
        """Of what is decoded, among those of its unit."""
        self._done: dict[int, dict[str, int]] = {}
        """How many instructions of each unit are done when it is."""
        self._before: dict[int, dict[str, int]] = {}
        """How many instructions of each unit are decoded before it."""

    def look(self, ends: dict[Moment, int]) -> None:
        """Finds what is best decoded next; ``ends`` is when instructions of any program end."""
        heads = [queue[-1] for queue in self._queues.values() if queue]
        found = [
            choice
            for number in heads
            if number <= min(heads) + AHEAD and (choice := self._choose(number, ends))
        ]
        self.choice = min(found, key=self._rank) if found else None

    def _rank(self, choice: _Choice) -> tuple[int, bool, int]:
        """Of those that can be decoded at the same time, one for an array comes first."""
        return choice.at, self.entries[choice.number].unit not in ARRAYS, choice.number

    def _choose(self, number: int, ends: dict[Moment, int]) -> _Choice | None:
        entry = self.entries[number]
        if entry.comes not in ends or any(need not in self._place for need in self._needs[number]):
            return None
        own = self._issued[entry.unit]
        last = self.entries[own[-1]] if own else None
        at = max(self._free, last.start if last else 0)
        ready = max(ends[entry.comes], last.end if last else 0)
        after = self._after(number)[0]
        ready = max([ready, *(self.entries[other].end for other in after)])
        cycles = entry.decoding + (BARRIER if entry.boxes or after else 0)
        start = max(at + cycles, ready)
        at = max(at, start - cycles - (MARGIN if entry.unit in ARRAYS else 0))
        return _Choice(at, number, at + cycles, start)

    def _after(self, number: int) -> tuple[list[int], dict[str, int]]:
        """The instructions that barriers make it wait for, and how many are done then."""
        unit = self.entries[number].unit
        own, after = self._issued[unit], []
        known = dict.fromkeys(self._issued, 0)
        for other, there in self._issued.items():
            count = len(there) if other == unit else len(there) - OUTSTANDING
            if count > 0:
                join(known, self._done[there[count - 1]])
        for need in reversed(self._needs[number]):
            other = self.entries[need].unit
            if other == unit or self._place[need] < known[other]:
                continue
            # The barrier cannot be in front of the own instruction before.
            place = max(self._place[need], self._before[own[-1]][other] - 1 if own else 0)
            last = self._issued[other][place]
            join(known, self._done[last])
            after.append(last)
        known[unit] = len(own) + 1
        return after, known

    def take(self, ends: dict[Moment, int]) -> Moment:
        """Decodes what was found."""
        assert self.choice is not None
        number = self.choice.number
        entry = self.entries[number]
        self._done[number] = self._after(number)[1]
        self._before[number] = {unit: len(there) for unit, there in self._issued.items()}
        self._queues[entry.work, entry.unit].pop()
        self._place[number] = len(self._issued[entry.unit])
        self._issued[entry.unit].append(number)
        self._free, entry.start = self.choice.decoded, self.choice.start
        ends[entry.moment] = entry.end
        self.order.append(number)
        return entry.moment


def _needs(entries: Sequence[PendingInstruction]) -> Iterator[list[int]]:
    """Of each instruction: those that must be decoded, and done, before it.

    What is further back than any is moved is left out, and so is what others wait for.
    """
    spaces: dict[str, list[tuple[Touch, int]]] = defaultdict(list)
    for number, entry in enumerate(entries):
        needs = set()
        for touch in entry.touches:
            uses = spaces[touch.space]
            kept = []
            for use in uses:
                old, by = use
                if by < number - AHEAD:
                    continue
                if by != number and touch.conflicts(old):
                    needs.add(by)
                    if touch.writes and touch.first <= old.first and old.last <= touch.last:
                        continue
                kept.append(use)
            kept.append((touch, number))
            spaces[touch.space] = kept
        yield sorted(needs)
