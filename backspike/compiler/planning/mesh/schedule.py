"""In which order the instructions of all cores come into being."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from backspike.compiler.planning.context import Builder

__all__ = ["StageWork", "schedule"]


class StageWork(NamedTuple):
    """Something that is done piece by piece, on a core."""

    builder: Builder
    """Of the program that it is in."""
    ready: Callable[[], int | None]
    """When the next piece can start, about; None if what it needs is in no program yet."""
    add: Callable[[], None]
    """Adds its instructions."""


def schedule(works: Sequence[StageWork]) -> None:
    """Adds all pieces, always the one that can start first; of equals, that of the first work."""
    while True:
        ready = [
            (at, number) for number, work in enumerate(works) if (at := work.ready()) is not None
        ]
        if not ready:
            return
        _, number = min(ready)
        works[number].builder.work = number
        works[number].add()
