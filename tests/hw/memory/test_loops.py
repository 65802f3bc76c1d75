"""Loop nests: without these, every address generator could go astray at its corners."""

import itertools

import numpy as np
import pytest

from backspike.hw.memory.loops import LoopNest
from tests.hw.simulation import pulse, simulate


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
            await pulse(ctx, nest.start)
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


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("inner", [1, 2])
@pytest.mark.parametrize(("tiles", "last_tiles"), [(2, 1), (3, 2), (1, 1), (1, 3)])
def test_a_count_may_depend_on_an_outer_loop(groups, inner, tiles, last_tiles):
    """Loops: repeat, group, pixel, tile in group, each as far as it may be from the next."""
    nest = LoopNest(levels=4, values=1, tails=((3, 1),))
    want = [
        1000 * repeat + 100 * group + 10 * pixel + tile
        for repeat in range(2)
        for group in range(groups)
        for pixel in range(inner)
        for tile in range(last_tiles if group == groups - 1 else tiles)
    ]
    seen = []

    async def testbench(ctx):
        for level, (count, stride) in enumerate(
            ((2, 1000), (groups, 100), (inner, 10), (tiles, 1))
        ):
            ctx.set(nest.count[level], count)
            ctx.set(nest.stride[0][level], stride)
        ctx.set(nest.tail[3], last_tiles)
        await pulse(ctx, nest.start)
        ctx.set(nest.step, 1)
        while ctx.get(nest.active):
            seen.append(ctx.get(nest.value[0]))
            await ctx.tick()

    simulate(nest, testbench)
    assert seen == want
