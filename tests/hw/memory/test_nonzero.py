"""Without these, a skipped zero could be none, or a value that was overwritten be skipped."""

import numpy as np
import pytest

from backspike.hw.memory.nonzero import NonzeroMap
from tests.hw.simulation import simulate


def test_nonzero_map_refuses_a_depth_off_the_word():
    with pytest.raises(ValueError, match="NonzeroMap depth must be a multiple of 8, not 12"):
        NonzeroMap(depth=12, pixels=8, lanes=2, width=4)


@pytest.mark.parametrize("offset", range(0, 25, 5))
def test_nonzero_map_follows_writes_at_any_alignment(offset):
    pixels, lanes, width = 8, 2, 4
    random = np.random.default_rng(offset)
    # -0 is 0b1000 in each lane: it is zero, too.
    words = random.choice([0x00, 0x88, 0x80, 0x01, 0x70], 40)
    nonzero = NonzeroMap(depth=40, pixels=pixels, lanes=lanes, width=width)

    async def testbench(ctx):
        ctx.set(nonzero.write, 1)
        for addr, word in enumerate(words):
            ctx.set(nonzero.write_addr, addr)
            ctx.set(nonzero.write_data, int(word))
            await ctx.tick()
        ctx.set(nonzero.write, 0)
        ctx.set(nonzero.read.en, 1)
        for addr in range(offset, offset + 5):
            ctx.set(nonzero.read.addr, addr)
            await ctx.tick()
            got = ctx.get(nonzero.read.data)
            for i, word in enumerate(words[addr : addr + pixels]):
                assert got >> i & 1 == bool(word & 0x77), (addr, i)

    simulate(nonzero, testbench)
