"""Where packets go in the mesh: one function, for the hardware and for what is proved about it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

__all__ = ["LOCAL", "STEPS", "TURNS", "Endpoint", "Hop", "RouterPort", "choices", "path", "route"]


class RouterPort(enum.IntEnum):
    """The ports of a router, in the order of its members ``i`` and ``o``."""

    NORTH = 0
    EAST = 1
    SOUTH = 2
    WEST = 3
    FP = 4
    BP = 5

    @property
    def opposite(self) -> RouterPort:
        """The port of the neighbour that this one is joined to."""
        return RouterPort((self + 2) % 4)


LOCAL = (RouterPort.FP, RouterPort.BP)
STEPS = {
    RouterPort.NORTH: (0, -1),
    RouterPort.EAST: (1, 0),
    RouterPort.SOUTH: (0, 1),
    RouterPort.WEST: (-1, 0),
}
"""What the neighbour's coordinates are more than one's own: x grows to the east, y to the south."""


class Endpoint(NamedTuple):
    """A sub-core: coordinates of its core, and 0 for FP or 1 for BP."""

    x: int
    y: int
    port: int


class Hop(NamedTuple):
    """A router on the way of a packet, and the ports by which it is entered and left."""

    x: int
    y: int
    entered: RouterPort
    left: RouterPort


def choices(here: Any, there: Any) -> tuple[tuple[Any, RouterPort], ...]:
    """The output for a packet that is ``here`` and goes ``there``: the first whose condition holds.

    X before Y. ``here`` has coordinates, ``there`` is an :class:`Endpoint`; both may consist of
    numbers or of signals, and so may the conditions.
    """
    return (
        (there.x > here.x, RouterPort.EAST),
        (there.x < here.x, RouterPort.WEST),
        (there.y > here.y, RouterPort.SOUTH),
        (there.y < here.y, RouterPort.NORTH),
        (there.port == 0, RouterPort.FP),
        (there.port == 1, RouterPort.BP),
    )


def route(here: Any, there: Endpoint) -> RouterPort:
    """The output that a packet takes."""
    return next(port for holds, port in choices(here, there) if holds)


def path(source: Endpoint, destination: Endpoint) -> Iterator[Hop]:
    """The routers that a packet goes through."""
    x, y, entered = source.x, source.y, LOCAL[source.port]
    while True:
        left = route(Endpoint(x, y, 0), destination)
        yield Hop(x, y, entered, left)
        if left in LOCAL:
            return
        dx, dy = STEPS[left]
        x, y, entered = x + dx, y + dy, left.opposite


def _turns() -> dict[RouterPort, tuple[RouterPort, ...]]:
    # In 3 x 3 routers there is one of each kind of neighbourhood: no larger mesh has other turns.
    places = [Endpoint(*place) for place in product(range(3), range(3), range(2))]
    hops = {hop[2:] for ends in product(places, places) for hop in path(*ends)}
    return {
        entered: tuple(left for left in RouterPort if (entered, left) in hops)
        for entered in RouterPort
    }


TURNS = _turns()
"""The outputs that packets from each input take: all that a crossbar has to have."""
