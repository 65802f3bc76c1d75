"""Loop nests: without these, every address generator could go astray at its corners."""

import itertools

import numpy as np
import pytest

from hw.memory.loops import LoopNest
from tests.hw.simulation import simulate


@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 3, 4), (4, 1, 2), (1, 5, 1), (3, 3, 1)], ids=str)
def test_values_are_affine_in_the_indices(counts):
    random = np.random.default_rng(sum(counts))
    strides = random.integers(0, 1 << 16, (2, 3))
    bases = random.integers(0, 1 << 16, 2)
    nest = LoopNest(levels=3, values=2)

    async def testbench(ctx):
        for level in range(3):
            ctx.set(nest.count[level], counts[level])
            for value in range(2):
                ctx.set(nest.stride[value][level], int(strides[value, level]))
        for value in range(2):
            ctx.set(nest.base[value], int(bases[value]))
        assert not ctx.get(nest.active)
        for _ in range(2):  # a second start finds no trace of the first
            ctx.set(nest.start, 1)
            await ctx.tick()
            ctx.set(nest.start, 0)
            for index in itertools.product(*map(range, counts)):
                ctx.set(nest.step, 0)
                for _ in range(random.integers(0, 2)):
                    await ctx.tick()
                assert ctx.get(nest.active)
                for value in range(2):
                    want = (bases[value] + (np.array(index) * strides[value]).sum()) % (1 << 16)
                    assert ctx.get(nest.value[value]) == want
                for level in range(3):
                    assert ctx.get(nest.first[level]) == (index[level] == 0)
                    assert ctx.get(nest.last[level]) == (index[level] == counts[level] - 1)
                ctx.set(nest.step, 1)
                await ctx.tick()
            ctx.set(nest.step, 0)
            assert not ctx.get(nest.active)

    simulate(nest, testbench)


def test_a_count_may_depend_on_an_outer_loop():
    nest = LoopNest(levels=2, values=1)
    seen = []

    async def testbench(ctx):
        ctx.set(nest.count[0], 3)
        ctx.set(nest.stride[0][0], 16)
        ctx.set(nest.stride[0][1], 1)
        ctx.set(nest.start, 1)
        await ctx.tick()
        ctx.set(nest.start, 0)
        ctx.set(nest.step, 1)
        while True:
            # Two tiles in a group, but one in the last.
            ctx.set(nest.count[1], 1 if ctx.get(nest.last[0]) else 2)
            if not ctx.get(nest.active):
                break
            seen.append(ctx.get(nest.value[0]))
            await ctx.tick()

    simulate(nest, testbench)
    assert seen == [0, 1, 16, 17, 32]
