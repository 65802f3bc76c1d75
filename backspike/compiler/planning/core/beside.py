"""Tasks beside the instructions of a program, for units that work side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from backspike.compiler.order.hazards import OrderedProgram

__all__ = ["Beside"]


class Beside:
    """Puts instructions of other tasks between those of a program's own.

    A task is an iterator that adds instructions and stops in between; it gives true, or false if
    it cannot go on before the program has more of its own. Tasks are gone through one after the
    other.

    Parameters
    ----------
    program : OrderedProgram
    unit : str
        That the tasks are for.
    others : sequence of str
        Units that the program's own instructions are for.
    """

    def __init__(self, program: OrderedProgram, unit: str, others: Sequence[str]):
        self._program, self._unit, self._others = program, unit, others
        self._tasks: deque[Iterator[bool]] = deque()

    def add(self, task: Iterator[bool]) -> None:
        """A task that may begin from here on."""
        self._tasks.append(task)

    def catch_up(self, until: int = 0) -> None:
        """Gives the unit as much to do as the others have, or up to the cycle ``until``."""
        free = self._program.timeline.free
        until = max(until, *(free[other] for other in self._others))
        while free[self._unit] < until and self._advance():
            pass

    def finish(self) -> None:
        """Lets the tasks go on to their ends."""
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Lets the first task go on; false if none can."""
        while self._tasks:
            moved = next(self._tasks[0], None)
            if moved is not None:
                return moved
            self._tasks.popleft()
        return False
