"""Without these, flits between chips could get lost where a link is slow, or links be half idle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from backspike.hw.noc.flit import flit_layout
from backspike.hw.noc.link import Link, LinkIn, LinkOut
from backspike.hw.noc.route import Endpoint
from tests.hw.noc.flits import PAYLOAD_BITS, Packet, receive, send
from tests.hw.simulation import simulate

SEED = 161803
ENOUGH = 4
"""Credits that full throughput needs beyond the latency of both ways."""


class Joined(Component):
    """Both ends of a link, between which a testbench carries flits and credits."""

    def __init__(self, *, credits: int):
        self._credits = credits
        flits = stream.Signature(flit_layout(PAYLOAD_BITS))
        link = Link(payload_bits=PAYLOAD_BITS, credits=credits)
        super().__init__({"i": In(flits), "o": Out(flits), "there": Out(link), "here": In(link)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.sender = sender = LinkOut(payload_bits=PAYLOAD_BITS, credits=self._credits)
        m.submodules.receiver = receiver = LinkIn(payload_bits=PAYLOAD_BITS, credits=self._credits)
        connect(m, flipped(self.i), sender.i)
        connect(m, sender.link, flipped(self.there))
        connect(m, flipped(self.here), receiver.link)
        connect(m, receiver.o, flipped(self.o))
        return m


def carry(source, target, random, delays: tuple[int, int], share: float = 1.0):
    """A testbench that carries a stream; each word takes as many cycles as drawn, or more."""

    async def testbench(ctx):
        under_way, cycle = [], 0
        while True:
            ctx.set(source.ready, random.random() < share)
            due = bool(under_way) and under_way[0][0] <= cycle
            ctx.set(target.valid, due)
            if due:
                ctx.set(target.payload, under_way[0][1])
            valid, ready, payload, taken = (
                await ctx.tick().sample(source.valid, source.ready, source.payload, target.ready)
            )[2:]
            if due:
                assert taken, "the receiver must take what comes"
                under_way.pop(0)
            if valid and ready:
                under_way.append((cycle + int(random.integers(delays[0], delays[1] + 1)), payload))
            cycle += 1

    return testbench


def packets(count: int) -> list[Packet]:
    return [Packet(Endpoint(1, 2, 1), sender=3, number=n, length=1 + n % 5) for n in range(count)]


def run(unit: Joined, sent: list[Packet], delays, share: float, shares=(1.0, 1.0)) -> list[int]:
    """Sends packets over the link; returns when their flits arrived."""
    random = np.random.default_rng(SEED)
    flits = [flit for packet in sent for flit in packet.flits]
    times: list[int] = []
    taker, got = receive(unit.o, len(flits), random, shares[1], times)
    simulate(
        unit,
        send(unit.i, sent, random, shares[0]),
        taker,
        background=(
            carry(unit.there.flit, unit.here.flit, random, delays, share),
            carry(unit.here.credit, unit.there.credit, random, delays, share),
        ),
    )
    assert got == flits
    return times


@pytest.mark.parametrize("delays", [(1, 1), (3, 3), (1, 9)])
@pytest.mark.parametrize(
    ("share", "shares"),
    [(1.0, (1.0, 1.0)), (0.4, (1.0, 1.0)), (1.0, (1.0, 0.3)), (0.7, (0.5, 0.5))],
)
def test_everything_arrives_in_order(delays, share, shares):
    """Over any latency, with a slow wire, a slow sender, and a receiver that makes it wait."""
    run(Joined(credits=3), packets(60), delays, share, shares)


@pytest.mark.parametrize("latency", [1, 2, 6])
def test_throughput(latency):
    """A flit a cycle with enough credits, and with one less no longer."""
    enough = 2 * latency + ENOUGH
    times = run(Joined(credits=enough), packets(60), (latency, latency), 1.0)
    assert times == list(range(times[0], times[0] + len(times)))
    assert times[0] == latency + 2
    times = run(Joined(credits=enough - 1), packets(60), (latency, latency), 1.0)
    assert times[-1] - times[0] > len(times)


@pytest.mark.parametrize("end", [LinkOut, LinkIn])
def test_wrong_arguments_are_refused(end):
    with pytest.raises(ValueError, match="^credits must be a whole number of at least 2, not 1$"):
        end(payload_bits=9, credits=1)
    with pytest.raises(ValueError, match="^payload_bits must be a whole number of at least 9, no"):
        end(payload_bits=8, credits=4)
