"""Without these, a group could add to a psum that the group before it has not written yet."""

from __future__ import annotations

import random
from collections import deque

import pytest

from backspike.hw.arith.format import PSUM_BITS
from backspike.hw.conv.psums import DEPTH, PsumAccess
from tests.hw.ports import read_memory, write_memory
from tests.hw.simulation import pause, simulate

SEED = 71
LANES = 2
PIXELS = 7
GROUPS = 12
LATENCY = 6
"""Cycles of the array that the test stands for, from pop to push."""


@pytest.mark.parametrize("hurry", [1.0, 0.4])
@pytest.mark.parametrize("pixels", [PIXELS, 3 * DEPTH])
def test_each_group_adds_to_what_the_one_before_has_written(pixels, hurry):
    """Groups over the same pixels, the first of which reads nothing, through a slow array."""
    rng = random.Random(f"{SEED}{pixels}{hurry}")
    access = PsumAccess(lanes=LANES)
    groups = GROUPS if pixels == PIXELS else 3
    addresses = rng.sample(range(1 << 16), pixels)
    memory = {address: rng.getrandbits(LANES * PSUM_BITS) for address in addresses}
    walk = [
        (group, pixel, group > 0, group < groups - 1 or pixel % 2 == 0)
        for group in range(groups)
        for pixel in range(pixels)
    ]
    # What each pixel holds: the sums of the groups that have written it.
    expected = [dict.fromkeys(range(pixels), 0)]
    for group, pixel, _, writes in walk:
        if pixel == 0:
            expected.append({**expected[-1]})
        expected[-1][pixel] += writes * (group + 1)
    claimed: deque = deque()
    stalls = 0

    def put(address, word, mask):
        assert mask == (1 << LANES) - 1 and address in memory
        memory[address] = word

    async def request(ctx):
        nonlocal stalls
        for group, pixel, reads, writes in walk:
            await pause(ctx, rng, 1 - hurry)
            ctx.set(access.i_valid, 1)
            ctx.set(access.i_addr, addresses[pixel])
            ctx.set(access.i_read, reads)
            ctx.set(access.i_write, writes)
            ctx.set(access.i_group_last, pixel == pixels - 1)
            accepted = False
            while not accepted:
                _, _, accepted = await ctx.tick().sample(access.i_ready)
                stalls += not accepted
            ctx.set(access.i_valid, 0)
            claimed.append((group, pixel, reads, writes))

    async def array(ctx):
        """Claims a pixel, pops its psum some cycles later, and pushes the new one later still."""
        entered: deque = deque()
        inside: deque = deque([None] * LATENCY)
        left = len(walk)
        while left:
            pops = bool(entered) and rng.random() < hurry / 2
            leaving = entered.popleft() if pops else None
            old = 0
            if leaving and leaving[2]:
                old = ctx.get(access.old)
                group, pixel = leaving[:2]
                assert old == expected[group][pixel], f"group {group}, pixel {pixel}"
            ctx.set(access.pop, bool(leaving and leaving[2]))
            inside.append(leaving and (*leaving, old))
            done = inside.popleft()
            left -= done is not None
            ctx.set(access.push, bool(done and done[3]))
            if done:
                ctx.set(access.push_addr, addresses[done[1]])
                ctx.set(access.new, done[4] + done[0] + 1)
            enters = bool(claimed) and (not claimed[0][2] or bool(ctx.get(access.claimable)))
            ctx.set(access.claim, enters and claimed[0][2])
            if enters:
                entered.append(claimed.popleft())
            await ctx.tick()
        ctx.set(access.push, 0)
        await ctx.tick().until(access.idle)
        for pixel, address in enumerate(addresses):
            assert memory[address] == expected[-1][pixel]

    srams = [
        read_memory(access.read, memory.__getitem__, ready=lambda: rng.random() < hurry),
        write_memory(access.write, put, ready=lambda: rng.random() < hurry / 4),
    ]
    simulate(access, request, array, background=srams)
    assert stalls, "no request ever had to wait"
