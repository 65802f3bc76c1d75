"""Without these, a transfer could go to another memory than the one that its command names."""

from __future__ import annotations

import pytest
from amaranth import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from backspike.hw.dma.select import WordTree
from tests.hw.simulation import simulate


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
