"""Without these, flits could be lost between clocks, or the slower clock not be made use of."""

from __future__ import annotations

import pytest
from amaranth.sim import Simulator

from backspike.hw.noc.crossing import Crossing

FLITS = 200
CLOCKS = {
    "667:500": (1499, 2000),
    "500:667": (2000, 1499),
    "1:1": (2000, 2000),
    "1:10": (1000, 10007),
}
"""Picoseconds of the clocks of ``write`` and ``read``, by their rates."""


def cross(unit: Crossing, write: int, read: int) -> list[tuple[int, int]]:
    """Sends flits as fast as they go; returns when each came and left, in cycles of ``read``."""
    came, left, cycle = [], [], 0

    async def send(ctx):
        for number in range(FLITS):
            ctx.set(unit.i.payload, {"payload": number, "last": number & 1})
            ctx.set(unit.i.valid, 1)
            await ctx.tick("write").until(unit.i.ready)
            came.append(cycle)
        ctx.set(unit.i.valid, 0)

    async def take(ctx):
        nonlocal cycle
        ctx.set(unit.o.ready, 1)
        while len(left) < FLITS:
            assert cycle < 20 * FLITS
            valid, payload = (await ctx.tick("read").sample(unit.o.valid, unit.o.payload))[2:]
            cycle += 1
            if valid:
                assert (payload.payload, payload.last) == (len(left), len(left) & 1)
                left.append(cycle)

    simulator = Simulator(unit)
    simulator.add_clock(write * 1e-12, domain="write")
    simulator.add_clock(read * 1e-12, domain="read")
    simulator.add_testbench(send)
    simulator.add_testbench(take)
    simulator.run()
    return list(zip(came, left, strict=True))


@pytest.mark.parametrize("clocks", CLOCKS)
def test_a_flit_a_cycle_of_the_slower_clock(clocks):
    write, read = CLOCKS[clocks]
    times = cross(Crossing(payload_bits=12, depth=8), write, read)
    # From the first flits on, when the queue is neither empty nor full yet, to the last.
    first, last = times[20][1], times[-1][1]
    slower = max(write, read) / read
    assert (last - first) / (len(times) - 21) == pytest.approx(slower, rel=0.02)


@pytest.mark.parametrize("clocks", CLOCKS)
def test_latency(clocks):
    write, read = CLOCKS[clocks]
    came, left = cross(Crossing(payload_bits=12, depth=8), write, read)[0]
    assert left - came in (3, 4)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="^depth must be a power of two from 2, not 6$"):
        Crossing(payload_bits=9, depth=6)
    with pytest.raises(ValueError, match="^payload_bits must be a whole number of at least 9, no"):
        Crossing(payload_bits=4, depth=8)
