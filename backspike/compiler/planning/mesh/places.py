"""Which core does which layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from backspike.compiler.lowering.layers import Lowered
from backspike.hw.core.connection import Place

__all__ = ["balanced", "snake"]


def snake(columns: int, rows: int) -> list[Place]:
    """All cores of a mesh, each a neighbour of the one before it."""
    return [
        (column if row % 2 == 0 else columns - 1 - column, row)
        for row in range(rows)
        for column in range(columns)
    ]


def balanced(layers: Sequence[Lowered], steps: int, cores: Sequence[Place]) -> list[Place]:
    """Places of the input and of all layers, such that the busiest array has least to do.

    Neighbours in ``cores`` do layers one behind the other. The input, which asks for WG only, goes
    with any of them.
    """
    after: list[Lowered | None] = [*layers[1:], None]
    stages = [
        (layer.dense_cycles * layer.input_steps, behind.dense_cycles * steps if behind else 0)
        for layer, behind in zip(layers, after, strict=True)
    ]

    def work(first: int, last: int) -> int:
        return max(sum(cycles) for cycles in zip(*stages[first:last], strict=True))

    @cache
    def split(first: int, count: int) -> tuple[int, tuple[int, ...]]:
        """The most that one of ``count`` cores has to do from a layer on, and layers of each."""
        if count == 1:
            return work(first, len(stages)), (len(stages) - first,)
        found = [split(first, count - 1)]
        for last in range(first + 1, len(stages)):
            rest, sizes = split(last, count - 1)
            found.append((max(work(first, last), rest), (last - first, *sizes)))
        return min(found, key=lambda each: (each[0], len(each[1])))

    _, sizes = split(0, len(cores))
    places = [place for place, size in zip(cores, sizes, strict=False) for _ in range(size)]
    gradients = dict.fromkeys(cores, 0)
    for place, (_, cycles) in zip(places, stages, strict=True):
        gradients[place] += cycles

    def distance(place: Place) -> int:
        return sum(abs(here - there) for here, there in zip(place, places[0], strict=True))

    return [min(cores, key=lambda place: (gradients[place], distance(place))), *places]
