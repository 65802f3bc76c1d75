"""Without these, a write could touch more than its granules, or a read see what comes after it."""

import pytest

from backspike.hw.memory.sram import Sram
from tests.hw.simulation import simulate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 1, "width": 8}, "Sram depth must be 2 to 65536 words, not 1"),
        ({"depth": 1 << 17, "width": 8}, "Sram depth must be 2 to 65536 words, not 131072"),
        (
            {"depth": 4, "width": 8, "granules": 3},
            "Sram granules must divide the width 8, not 3",
        ),
    ],
)
def test_sram_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sram(**arguments)


def test_sram_writes_granules_and_reads_before_a_write():
    sram = Sram(depth=4, width=16, granules=2)

    async def testbench(ctx):
        async def write(addr, value, mask):
            ctx.set(sram.write.en, 1)
            ctx.set(sram.write.addr, addr)
            ctx.set(sram.write.data, value)
            ctx.set(sram.write.mask, mask)
            await ctx.tick()
            ctx.set(sram.write.en, 0)

        await write(2, 0xABCD, 0b11)
        await write(2, 0x1234, 0b10)
        ctx.set(sram.read.en, 1)
        ctx.set(sram.read.addr, 2)
        ctx.set(sram.write.en, 1)
        ctx.set(sram.write.data, 0xFFFF)
        await ctx.tick()
        assert ctx.get(sram.read.data) == 0x12CD
        await ctx.tick()
        assert ctx.get(sram.read.data) == 0xFFCD
        # Without an enable nothing is read.
        ctx.set(sram.read.en, 0)
        ctx.set(sram.read.addr, 0)
        await ctx.tick()
        assert ctx.get(sram.read.data) == 0xFFCD

    simulate(sram, testbench)
