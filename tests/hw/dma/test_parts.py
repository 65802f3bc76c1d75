"""Parts of the DMA by themselves, and what it refuses to be."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from backspike.hw.dma.read import DmaRead
from backspike.hw.dma.select import WordTree
from backspike.hw.dma.write import DmaWrite
from tests.hw.simulation import simulate

SIZES = {
    "memories": (("m", 64, 4),),
    "bus_bits": 64,
    "burst_beats": 16,
    "outstanding": 4,
}


@pytest.mark.parametrize("engine", [DmaRead, DmaWrite])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bus_bits": 48}, "bus_bits must be a power of two, not 48"),
        ({"bus_bits": 2048}, "bus_bits must be a whole number from 8 to 1024, not 2048"),
        ({"burst_beats": 12}, "burst_beats must be a power of two, not 12"),
        ({"burst_beats": 512}, "burst_beats must be a whole number from 1 to 256, not 512"),
        (
            {"bus_bits": 1024, "burst_beats": 64},
            "burst_beats must be a whole number from 1 to 32, not 64",
        ),
        ({"outstanding": 0}, "outstanding must be a whole number of at least 1, not 0"),
        ({"memories": ()}, "number of memories must be a whole number from 1 to 16, not 0"),
        ({"memories": (("s", 48, 4),)}, "width of s must be a power of two, not 48"),
        ({"memories": (("s", 4, 4),)}, "width of s must be a whole number of at least 8, not 4"),
    ],
)
def test_refuses(engine, change, message):
    with pytest.raises(ValueError, match=message):
        engine(**{**SIZES, **change})


class Selecting(Component):
    """A WordTree of words that are their numbers."""

    def __init__(self, count):
        self.tree = WordTree(count)
        super().__init__({"code": In(self.tree.code_bits), "word": Out(8)})
        self.count = count

    def elaborate(self, platform):
        m = Module()
        words = [Signal(8, init=number) for number in range(self.count)]
        m.d.sync += self.word.eq(self.tree.select(m, self.code, words))
        return m


@pytest.mark.parametrize("count", [1, 2, 4, 5, 6, 7, 8, 10, 12, 13, 17, 40])
def test_a_word_tree_selects_every_word_by_its_code(count):
    selecting = Selecting(count)

    async def testbench(ctx):
        for number, code in enumerate(selecting.tree.codes):
            ctx.set(selecting.code, code)
            await ctx.tick()
            assert ctx.get(selecting.word) == number

    simulate(selecting, testbench)


@pytest.mark.parametrize("count", range(5, 41))
def test_a_word_tree_has_few_multiplexers(count):
    def inner(node) -> int:
        return 0 if isinstance(node, int) else 1 + sum(map(inner, node))

    assert inner(WordTree(count).root) == -(-(count - 1) // 3)
