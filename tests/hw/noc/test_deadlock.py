"""Without these, packets could wait for each other in a circle, and the chip stand still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import product
from typing import NamedTuple

import pytest

from backspike.hw.noc.route import LOCAL, STEPS, Endpoint, RouterPort, route

Route = Callable[[Endpoint, Endpoint], RouterPort]


class Channel(NamedTuple):
    """What a packet holds while it waits for the next: an output of a router, or a way into one."""

    network: str
    x: int
    y: int
    port: RouterPort
    inward: bool = False


def within(network: str, routing: Route, columns: int, rows: int) -> Iterator[tuple]:
    """Each pair of channels that some packet takes one behind the other."""
    cores = list(product(range(columns), range(rows)))
    for there in (Endpoint(x, y, port) for (x, y), port in product(cores, range(2))):
        for x, y in cores:
            left = routing(Endpoint(x, y, 0), there)
            for port in LOCAL:
                yield Channel(network, x, y, port, inward=True), Channel(network, x, y, left)
            if left not in LOCAL:
                to = Endpoint(x + STEPS[left][0], y + STEPS[left][1], 0)
                after = Channel(network, to.x, to.y, routing(to, there))
                yield Channel(network, x, y, left), after


def at_the_ends(requests: str, replies: str, columns: int, rows: int) -> Iterator[tuple]:
    """What waits in network interfaces, one network for the other.

    A request is taken when there is a way for its reply. One that is sent may wait until earlier
    ones have theirs. Replies are taken at once.
    """
    for x, y, port in product(range(columns), range(rows), LOCAL):
        yield Channel(requests, x, y, port), Channel(replies, x, y, port, inward=True)
        yield Channel(requests, x, y, port, inward=True), Channel(replies, x, y, port)


def cycle(*dependencies: Iterator[tuple]) -> list[Channel]:
    """Channels that wait for each other in a circle; none if there is no such circle."""
    sorter: TopologicalSorter = TopologicalSorter()
    for each in dependencies:
        for holds, awaits in each:
            sorter.add(holds, awaits)
    try:
        sorter.prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("columns", range(1, 9))
def test_no_channels_wait_in_a_circle(columns):
    for rows in range(1, 9):
        size = (columns, rows)
        assert not cycle(
            within("request", route, *size),
            within("reply", route, *size),
            at_the_ends("request", "reply", *size),
        )


def test_a_routing_that_mixes_orders_is_found_out():
    def mixed(here: Endpoint, there: Endpoint) -> RouterPort:
        """X before Y to FP sub-cores, and Y before X to BP sub-cores."""
        if there.port == 0 or there.y == here.y:
            return route(here, there)
        return RouterPort.SOUTH if there.y > here.y else RouterPort.NORTH

    for size in ((2, 2), (8, 4)):
        found = cycle(within("request", mixed, *size))
        assert len({(channel.x, channel.y) for channel in found}) >= 4
        # What is found is a circle indeed.
        pairs = set(within("request", mixed, *size))
        assert found[0] == found[-1]
        for one, other in zip(found[1:], found, strict=False):
            assert (one, other) in pairs


def test_replies_need_a_network_of_their_own():
    assert cycle(within("one", route, 2, 1), at_the_ends("one", "one", 2, 1))
