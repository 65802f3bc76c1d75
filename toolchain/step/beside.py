"""Two streams of instructions in one program, for units that work side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from toolchain.hazards import OrderedProgram

__all__ = ["Beside"]


class Beside:
    """Puts instructions of other streams between those of a program's own.

    A stream is an iterator that adds instructions and stops in between; it gives true, or false if
    it cannot go on before the program has more of its own. Streams are gone through one after the
    other. Time is what the busiest unit takes for what was added, as estimated.

    Parameters
    ----------
    program : OrderedProgram
    """

    def __init__(self, program: OrderedProgram):
        self._program = program
        self._streams: deque[Iterator[bool]] = deque()
        self._seen = dict(program.cycles)
        self._own = self._theirs = 0

    def add(self, stream: Iterator[bool]) -> None:
        """A stream that may begin from here on."""
        self._streams.append(stream)

    def catch_up(self) -> None:
        """Lets the streams go on up to where the program's own instructions are."""
        self._own += self._passed()
        while self._theirs < self._own:
            if not self._advance():
                self._theirs = self._own

    def finish(self) -> None:
        """Lets the streams go on to their ends."""
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Lets the first stream go on; false if none can."""
        while self._streams:
            moved = next(self._streams[0], None)
            if moved is not None:
                self._theirs += self._passed()
                return moved
            self._streams.popleft()
        return False

    def _passed(self) -> int:
        """Cycles of what was added since the last time."""
        now = dict(self._program.cycles)
        passed = max((now[unit] - self._seen.get(unit, 0) for unit in now), default=0)
        self._seen = now
        return passed
