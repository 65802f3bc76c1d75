"""Packets for tests in Amaranth's simulator, and what sends and takes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backspike.hw.noc.flit import COORDINATE_BITS, DESTINATION_BITS
from backspike.hw.noc.route import Endpoint

__all__ = ["PAYLOAD_BITS", "Packet", "head", "receive", "send"]

PAYLOAD_BITS = 32
INDEX_BITS = 6


@dataclass(frozen=True)
class Packet:
    """A packet whose flits tell whose it is, which of the sender's, and where in it they are."""

    destination: Endpoint
    sender: int
    number: int
    length: int

    @property
    def flits(self) -> list[dict[str, int]]:
        """As the simulator takes them."""
        own = self.sender << 10 | self.number
        payloads = [
            head(self.destination) | (own << INDEX_BITS | index) << DESTINATION_BITS
            for index in range(self.length)
        ]
        return [
            {"payload": payload, "last": number == self.length - 1}
            for number, payload in enumerate(payloads)
        ]


def head(destination: Endpoint) -> int:
    """The lowest bits of a head's payload."""
    x, y, port = destination
    return x | y << COORDINATE_BITS | port << 2 * COORDINATE_BITS


def send(port, packets: Iterable[Packet], random, share: float = 1.0, times: list | None = None):
    """A testbench that sends packets, each flit at once with the probability ``share`` a cycle.

    ``times`` becomes the cycles in which the flits were taken.
    """

    async def testbench(ctx):
        cycle = 0
        for packet in packets:
            for flit in packet.flits:
                while random.random() >= share:
                    await ctx.tick()
                    cycle += 1
                ctx.set(port.payload, flit)
                ctx.set(port.valid, 1)
                taken = False
                while not taken:
                    (taken,) = (await ctx.tick().sample(port.ready))[2:]
                    cycle += 1
                if times is not None:
                    times.append(cycle - 1)
                ctx.set(port.valid, 0)

    return testbench


def receive(port, count: int, random, share: float = 1.0, times: list | None = None):
    """A testbench that takes ``count`` flits, and the list that they come to."""
    flits: list[dict[str, int]] = []

    async def testbench(ctx):
        cycle = 0
        while len(flits) < count:
            ctx.set(port.ready, random.random() < share)
            valid, ready, flit = (await ctx.tick().sample(port.valid, port.ready, port.payload))[2:]
            if valid and ready:
                flits.append({"payload": flit.payload, "last": flit.last})
                if times is not None:
                    times.append(cycle)
            cycle += 1
        ctx.set(port.ready, 0)

    return testbench, flits
