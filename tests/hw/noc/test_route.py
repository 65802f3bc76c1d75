"""Without these, packets could go in circles, or the hardware otherwise than what is proved."""

from __future__ import annotations

from itertools import product

import pytest

from backspike.hw.noc.flit import flit_layout
from backspike.hw.noc.queue import InputQueue
from backspike.hw.noc.route import LOCAL, STEPS, TURNS, Endpoint, RouterPort, choices, path, route
from tests.hw.noc.flits import head
from tests.hw.simulation import simulate


def places(columns: int, rows: int) -> list[Endpoint]:
    return [Endpoint(*place) for place in product(range(columns), range(rows), range(2))]


def test_ports_face_each_other():
    for port, (dx, dy) in STEPS.items():
        assert STEPS[port.opposite] == (-dx, -dy)


def test_every_packet_arrives_on_a_shortest_way():
    for source, destination in product(places(5, 4), repeat=2):
        hops = list(path(source, destination))
        distance = abs(source.x - destination.x) + abs(source.y - destination.y)
        assert len(hops) == distance + 1
        assert (hops[0].x, hops[0].y, hops[0].entered) == (*source[:2], LOCAL[source.port])
        assert (hops[-1].x, hops[-1].y, hops[-1].left) == (
            *destination[:2],
            LOCAL[destination.port],
        )
        assert all(hop.left in TURNS[hop.entered] for hop in hops)


def test_turns_are_those_of_xy_routing():
    assert {port.name: [left.name for left in lefts] for port, lefts in TURNS.items()} == {
        "NORTH": ["SOUTH", "FP", "BP"],
        "EAST": ["NORTH", "SOUTH", "WEST", "FP", "BP"],
        "SOUTH": ["NORTH", "FP", "BP"],
        "WEST": ["NORTH", "EAST", "SOUTH", "FP", "BP"],
        "FP": ["NORTH", "EAST", "SOUTH", "WEST", "FP", "BP"],
        "BP": ["NORTH", "EAST", "SOUTH", "WEST", "FP", "BP"],
    }


@pytest.mark.parametrize("entered", list(RouterPort))
def test_hardware_routes_as_the_function_says(entered):
    """From corners, edges and the inside of the largest mesh to everywhere that a packet may go."""
    turns = TURNS[entered]
    queue = InputQueue(payload_bits=12, depth=2, outputs=sum(1 << port for port in turns))
    everywhere = places(16, 16)
    tried = 0

    async def testbench(ctx):
        nonlocal tried
        ctx.set(queue.i.valid, 1)
        ctx.set(queue.pop, 1)
        for here in (Endpoint(0, 0, 0), Endpoint(15, 15, 0), Endpoint(0, 9, 0), Endpoint(6, 8, 0)):
            ctx.set(queue.x, here.x)
            ctx.set(queue.y, here.y)
            for there in everywhere:
                wanted = route(here, there)
                # Who comes from the north or the south is in the right column already.
                if wanted not in turns:
                    continue
                ctx.set(queue.i.payload, {"payload": head(there) | 7 << 9, "last": 1})
                assert ctx.get(queue.wants) == 1 << turns.index(wanted), (here, there)
                await ctx.tick()
                tried += 1

    simulate(queue, testbench)
    assert tried > 60


def test_one_choice_always_holds():
    for here, there in product(places(3, 3), repeat=2):
        assert any(holds for holds, _ in choices(here, there))


def test_a_flit_has_room_for_its_destination():
    assert flit_layout(9).size == 10
    with pytest.raises(
        ValueError, match="payload_bits must be a whole number of at least 9, not 8"
    ):
        flit_layout(8)
