"""Without these, packets could be mixed, lost, starved or slowed down in a router unnoticed."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from backspike.hw.noc.arbiter import PacketArbiter
from backspike.hw.noc.mesh import RouterMesh
from backspike.hw.noc.queue import InputQueue
from backspike.hw.noc.route import TURNS, Endpoint, RouterPort, route
from backspike.hw.noc.router import Router
from tests.hw.noc.flits import PAYLOAD_BITS, Packet, head, receive, send
from tests.hw.simulation import pulse, simulate

HERE = Endpoint(5, 3, 0)
AROUND = {
    RouterPort.NORTH: Endpoint(5, 1, 0),
    RouterPort.EAST: Endpoint(6, 9, 1),
    RouterPort.SOUTH: Endpoint(5, 15, 1),
    RouterPort.WEST: Endpoint(0, 3, 0),
    RouterPort.FP: Endpoint(5, 3, 0),
    RouterPort.BP: Endpoint(5, 3, 1),
}
"""A destination by each output."""
SEED = 271828


def router(depth: int = 4) -> Router:
    return Router(payload_bits=PAYLOAD_BITS, depth=depth)


def placed(unit: Router):
    """A testbench that tells the router where it is."""

    async def testbench(ctx):
        ctx.set(unit.x, HERE.x)
        ctx.set(unit.y, HERE.y)

    return testbench


def run(
    unit: Router, packets: dict[RouterPort, list[Packet]], random=None, shares=(1.0, 1.0), **times
):
    """Sends packets to the inputs; returns the flits that each output gave."""
    random = random or np.random.default_rng(SEED)
    counts = dict.fromkeys(RouterPort, 0)
    for packet in (packet for each in packets.values() for packet in each):
        counts[route(HERE, packet.destination)] += packet.length
    benches, got = [placed(unit)], {}
    for port, each in packets.items():
        sent = times.get("sent", {}).setdefault(port, [])
        benches.append(send(unit.i[port], each, random, shares[0], sent))
    for port in RouterPort:
        arrived = times.get("arrived", {}).setdefault(port, [])
        bench, got[port] = receive(unit.o[port], counts[port], random, shares[1], arrived)
        benches.append(bench)
    simulate(unit, *benches)
    return got


@pytest.mark.parametrize(
    ("depth", "shares"),
    [(2, (1.0, 1.0)), (2, (0.4, 1.0)), (2, (0.6, 0.6)), (8, (1.0, 0.4)), (8, (0.6, 0.6))],
)
def test_packets_arrive_whole_and_in_order_at_their_output(depth, shares):
    random = np.random.default_rng(SEED)
    packets = {
        entered: [
            Packet(
                AROUND[TURNS[entered][random.integers(len(TURNS[entered]))]],
                sender=entered,
                number=number,
                length=int(random.integers(1, 9)),
            )
            for number in range(25)
        ]
        for entered in RouterPort
    }
    got = run(router(depth), packets, random, shares)
    for output, flits in got.items():
        expected = {
            entered: [packet for packet in each if route(HERE, packet.destination) == output]
            for entered, each in packets.items()
        }
        # The output gives whole packets, each the next one of some input.
        while flits:
            entered, packet = next(
                (entered, each[0])
                for entered, each in expected.items()
                if each and each[0].flits[0] == flits[0]
            )
            assert flits[: packet.length] == packet.flits
            del flits[: packet.length], expected[entered][0]
        assert not any(expected.values())


def test_a_flit_leaves_two_cycles_after_it_came():
    unit = router()

    async def testbench(ctx):
        await placed(unit)(ctx)
        for port in RouterPort:
            ctx.set(unit.o[port].ready, 1)
        for entered, lefts in TURNS.items():
            for left in lefts:
                ctx.set(unit.i[entered].payload, {"payload": head(AROUND[left]), "last": 1})
                await pulse(ctx, unit.i[entered].valid)
                for cycle in (1, 2, 3):
                    leaves = [port for port in RouterPort if ctx.get(unit.o[port].valid)]
                    assert leaves == ([left] if cycle == 2 else [])
                    await ctx.tick()

    simulate(unit, testbench)


@pytest.mark.parametrize(("depth", "length"), [(2, 1), (2, 3), (4, 2)])
def test_no_cycle_is_lost_between_packets(depth, length):
    """All inputs at once, each to an output of its own, and none waits for a single cycle."""
    straight = {port: port.opposite for port in list(RouterPort)[:4]}
    straight |= {RouterPort.FP: RouterPort.BP, RouterPort.BP: RouterPort.FP}
    packets = {
        entered: [
            Packet(AROUND[left], sender=entered, number=number, length=length)
            for number in range(12)
        ]
        for entered, left in straight.items()
    }
    sent, arrived = {}, {}
    run(router(depth), packets, sent=sent, arrived=arrived)
    for port in RouterPort:
        assert sent[port] == list(range(12 * length))
        assert arrived[port] == list(range(2, 12 * length + 2))


def test_no_cycle_is_lost_where_outputs_change():
    """One input, whose packets go to each output in turn."""
    packets = [
        Packet(
            AROUND[RouterPort(number % 6)],
            sender=RouterPort.FP,
            number=number,
            length=1 + number % 2,
        )
        for number in range(36)
    ]
    sent = {}
    run(router(), {RouterPort.FP: packets}, sent=sent)
    assert sent[RouterPort.FP] == list(range(sum(packet.length for packet in packets)))


@pytest.mark.parametrize("output", [RouterPort.NORTH, RouterPort.EAST, RouterPort.FP])
def test_inputs_take_turns(output):
    """Among those that always want the same output, none is served twice before all others."""
    rivals = [entered for entered in RouterPort if output in TURNS[entered]]
    packets = {
        entered: [
            Packet(AROUND[output], sender=entered, number=number, length=1 + (entered + number) % 3)
            for number in range(20)
        ]
        for entered in rivals
    }
    flits = run(router(), packets)[output]
    senders = [flit["payload"] >> 25 for flit in flits if not flit["payload"] >> 9 & 63]
    rounds = [senders[at : at + len(rivals)] for at in range(0, len(senders), len(rivals))]
    assert len(rounds) == 20
    assert all(sorted(each) == sorted(rivals) for each in rounds[1:-1])
    assert len(list(groupby(rounds[1:-1]))) == 1


def test_no_output_depends_on_an_input_at_once():
    random = np.random.default_rng(SEED)
    unit = router(2)

    async def testbench(ctx):
        await placed(unit)(ctx)
        for _ in range(100):
            seen = set()
            for _ in range(4):
                for port in RouterPort:
                    output = TURNS[port][random.integers(len(TURNS[port]))]
                    flit = {"payload": head(AROUND[output]), "last": int(random.integers(2))}
                    ctx.set(unit.i[port].payload, flit)
                    ctx.set(unit.i[port].valid, int(random.integers(2)))
                    ctx.set(unit.o[port].ready, int(random.integers(2)))
                seen.add(
                    tuple(
                        ctx.get(signal)
                        for port in RouterPort
                        for signal in (
                            unit.i[port].ready,
                            unit.o[port].valid,
                            unit.o[port].payload.as_value(),
                        )
                    )
                )
            assert len(seen) == 1
            await ctx.tick()

    simulate(unit, testbench)


def test_an_arbiter_keeps_to_a_packet_that_has_begun():
    """Also while none of its flits is there, and whoever else asks; until the last has gone."""
    unit = PacketArbiter(inputs=3)

    async def testbench(ctx):
        ctx.set(unit.requests, 0b100)
        await ctx.tick()
        for requests in (0b111, 0b101, 0b110, 0):
            ctx.set(unit.requests, requests)
            assert ctx.get(unit.grants) == 0b100
            await ctx.tick()
        ctx.set(unit.ends, 1)
        ctx.set(unit.requests, 0b111)
        for granted in (0b001, 0b010, 0b100, 0b001):
            await ctx.tick()
            assert ctx.get(unit.grants) == granted

    simulate(unit, testbench)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Router(payload_bits=8, depth=4),
            "payload_bits must be a whole number of at least 9, not 8",
        ),
        (lambda: Router(payload_bits=9, depth=3), "depth must be a power of two from 2, not 3"),
        (
            lambda: InputQueue(payload_bits=9, depth=1, outputs=63),
            "depth must be a whole number of at least 2, not 1",
        ),
        (
            lambda: PacketArbiter(inputs=1),
            "inputs must be a whole number of at least 2, not 1",
        ),
        (
            lambda: RouterMesh(rows=17, columns=1, payload_bits=9, depth=2),
            "rows must be a whole number from 1 to 16, not 17",
        ),
        (
            lambda: RouterMesh(rows=1, columns=0, payload_bits=9, depth=2),
            "columns must be a whole number from 1 to 16, not 0",
        ),
        (
            lambda: RouterMesh(rows=1, columns=1, payload_bits=9, depth=2, credits=1),
            "credits must be a whole number of at least 2, not 1",
        ),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()
