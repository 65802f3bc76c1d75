"""Without these, a loop could run once too often, or leave a register other than it found it."""

from __future__ import annotations

import random

from backspike.hw.control.loops import ProgramLoops
from backspike.hw.isa.table import LOOP_LEVELS, LOOP_STEPS, REGISTERS
from tests.hw.simulation import pulse, simulate

SEED = 67
WORD = (1 << 32) - 1


async def values(ctx, loops):
    """All address registers."""
    found = []
    for register in range(REGISTERS):
        ctx.set(loops.select, register)
        found.append(ctx.get(loops.value))
    return found


async def clear(ctx, loops):
    await pulse(ctx, loops.clear)
    cycles = 0
    while ctx.get(loops.busy):
        await ctx.tick()
        cycles += 1
    assert cycles == REGISTERS


async def enter(ctx, loops, count, begin, end, steps):
    """Notes the steps, one of each place, and goes into the loop."""
    for index in range(LOOP_STEPS):
        register, step = steps[index] if index < len(steps) else (0, 0)
        ctx.set(loops.index, index)
        ctx.set(loops.register, register)
        ctx.set(loops.step, step & WORD)
        await pulse(ctx, loops.note)
    ctx.set(loops.count, count)
    ctx.set(loops.begin, begin)
    ctx.set(loops.end, end)
    await pulse(ctx, loops.enter)


async def finish(ctx, loops, end):
    """Goes through the steps at the end of a body; where it jumps to, if it does."""
    ctx.set(loops.position, end)
    assert ctx.get(loops.at_end) and not ctx.get(loops.beyond)
    await pulse(ctx, loops.again)
    target = None
    for _ in range(LOOP_STEPS):
        assert ctx.get(loops.busy) and target is None
        if ctx.get(loops.jump):
            target = ctx.get(loops.target)
        await ctx.tick()
    assert not ctx.get(loops.busy)
    return target


def test_loops_inside_each_other_step_their_registers_and_put_them_back():
    rng = random.Random(SEED)
    loops = ProgramLoops()

    async def nest(ctx, depth, begin, registers):
        """A loop of random steps, with others in its body; registers as they should be."""
        count = rng.randint(1, 3)
        end = begin + rng.randint(1, 99)
        steps = [
            (rng.randrange(REGISTERS), rng.choice([1, -1, 1 << 31, rng.getrandbits(32)]))
            for _ in range(rng.randint(0, LOOP_STEPS))
        ]
        before = [*registers]
        assert ctx.get(loops.full) == (depth == LOOP_LEVELS)
        await enter(ctx, loops, count, begin, end, steps)
        for turn in range(count):
            assert await values(ctx, loops) == registers
            assert ctx.get(loops.inside)
            for position, at_end, beyond in ((end - 1, 0, 0), (end, 1, 0), (end + 1, 0, 1)):
                ctx.set(loops.position, position)
                assert (ctx.get(loops.at_end), ctx.get(loops.beyond)) == (at_end, beyond)
            if depth + 1 < LOOP_LEVELS and rng.random() < 0.6:
                await nest(ctx, depth + 1, begin + 1, [*registers])
            last = turn == count - 1
            assert await finish(ctx, loops, end) == (None if last else begin)
            for register, step in steps:
                if register:
                    stepped = registers[register] + step & WORD
                    registers[register] = before[register] if last else stepped
        assert await values(ctx, loops) == registers == before

    async def testbench(ctx):
        await clear(ctx, loops)
        for _ in range(15):
            await nest(ctx, 0, rng.randrange(1 << 19), [0] * REGISTERS)
            assert not ctx.get(loops.inside)

    simulate(loops, testbench, limit=100_000)


def test_a_clear_leaves_no_loop_and_no_register():
    loops = ProgramLoops()

    async def testbench(ctx):
        await clear(ctx, loops)
        for level in range(LOOP_LEVELS):
            await enter(ctx, loops, 2, level, 50, [(register, 9) for register in range(4, 8)])
            await finish(ctx, loops, 50)
        assert ctx.get(loops.full)
        assert any(await values(ctx, loops))
        await clear(ctx, loops)
        assert not ctx.get(loops.inside) and not ctx.get(loops.full)
        assert await values(ctx, loops) == [0] * REGISTERS

    simulate(loops, testbench)
