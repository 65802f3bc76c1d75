"""The walker: without these, a spike could be taken twice or left out where lanes differ."""

import numpy as np
import pytest

from backspike.hw.conv.walker import Walker
from tests.hw.simulation import simulate


@pytest.mark.parametrize("skip", [1, 0])
@pytest.mark.parametrize("ready", [1.0, 0.4])
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 0.95])
def test_every_set_bit_is_taken_once_and_no_cycle_is_lost(skip, ready, sparsity):
    lanes, group_tiles, ring_depth, pixels = 3, 5, 16, 40
    random = np.random.default_rng(5)
    present = random.random((pixels, group_tiles)) < 0.8
    windows = (random.random((pixels, group_tiles, lanes)) >= sparsity) & present[..., None]
    walker = Walker(lanes=lanes, group_tiles=group_tiles, ring_depth=ring_depth, payload_bits=8)
    bases = random.integers(0, ring_depth, pixels)
    steps = []

    async def drive(ctx):
        ctx.set(walker.skip, skip)
        for pixel in range(pixels):
            ctx.set(walker.i_valid, 1)
            for entry in range(group_tiles):
                bits = int(windows[pixel, entry] @ (1 << np.arange(lanes)))
                ctx.set(walker.i_window[entry], bits)
            ctx.set(walker.i_present, int(present[pixel] @ (1 << np.arange(group_tiles))))
            ctx.set(walker.i_base, int(bases[pixel]))
            ctx.set(walker.i_payload, pixel)
            await ctx.tick().until(walker.i_ready)
        ctx.set(walker.i_valid, 0)

    cycles = 0

    async def take(ctx):
        nonlocal cycles
        while not steps or steps[-1][:2] != (pixels - 1, True):
            takes = random.random() < ready
            ctx.set(walker.o.ready, takes)
            _, _, valid, step = await ctx.tick().sample(walker.o.valid, walker.o.payload)
            cycles += 1
            if takes and valid:
                slots = [step.slots[lane] for lane in range(lanes)]
                steps.append((step.pixel, bool(step.last), bool(step.first), step.take, slots))

    simulate(walker, drive, take)
    spent = 0
    for pixel in range(pixels):
        mine = [step for step in steps if step[0] == pixel]
        assert [step[2] for step in mine] == [True] + [False] * (len(mine) - 1)
        assert [step[1] for step in mine] == [False] * (len(mine) - 1) + [True]
        needed = windows[pixel].sum(axis=0).max() if skip else present[pixel].sum()
        assert len(mine) == max(1, needed)
        spent += len(mine)
        for lane in range(lanes):
            taken = [step[4][lane] for step in mine if step[3] >> lane & 1]
            want = [
                (bases[pixel] + e) % ring_depth for e in np.flatnonzero(windows[pixel, :, lane])
            ]
            assert taken == want
    if ready == 1.0:
        assert cycles <= spent + 3
