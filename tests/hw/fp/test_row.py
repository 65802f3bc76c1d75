"""A row of the FP array: without these its stated latency could be wrong, or a NaN get lost."""

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.fp.row import FpRow
from tests.hw.simulation import simulate


@pytest.mark.parametrize("format", [BINARY16, Float(5, 2), Float(4, 3)], ids=str)
@pytest.mark.parametrize("lanes", [2, 8])
def test_sums_are_exact_and_come_after_the_latency(format, lanes):
    random = np.random.default_rng(lanes)
    row = FpRow(format=format, lanes=lanes, ring_depth=16)
    latency = FpRow.latency_of(lanes)
    top = (1 << (format.fixed_bits - 1)) - 1
    weights = random.integers(-top, top, (16, lanes), endpoint=True)
    special = random.random((16, lanes)) < 0.02
    reserved = -1 << (format.psum_bits - 1)
    # Pixels of a few steps each: (first, read, old, takes, slots).
    steps, results = [], {}
    shift = 3
    for _ in range(30):
        old = int(random.integers(-top, top)) if random.random() < 0.9 else reserved
        read = bool(random.random() < 0.7)
        total, nan = (old, old == reserved) if read else (0, False)
        for number in range(int(random.integers(1, 5))):
            takes = random.random(lanes) < 0.6
            slots = random.integers(0, 16, lanes)
            total += sum(int(weights[s, i]) << shift for i, s in enumerate(slots) if takes[i])
            nan |= bool((special[slots, np.arange(lanes)] & takes).any())
            steps.append((number == 0, read, old, takes, slots))
        results[len(steps) - 1] = reserved if nan else total

    async def testbench(ctx):
        ctx.set(row.shift, shift)
        ctx.set(row.load, 1)
        for slot in range(16):
            ctx.set(row.load_slot, slot)
            for lane in range(lanes):
                code = int(weights[slot, lane]) & ((1 << format.fixed_bits) - 1)
                code = 1 << format.fixed_bits if special[slot, lane] else code
                ctx.set(row.load_weights[lane], code)
            await ctx.tick()
        ctx.set(row.load, 0)
        for cycle in range(len(steps) + latency):
            ctx.set(row.take, 0)
            if cycle < len(steps):
                _, _, _, takes, slots = steps[cycle]
                ctx.set(row.take, int(takes @ (1 << np.arange(lanes))))
                for lane in range(lanes):
                    ctx.set(row.slots[lane], int(slots[lane]))
            adding = cycle - (latency - 1)
            ctx.set(row.accumulate, 0 <= adding < len(steps))
            if 0 <= adding < len(steps):
                for port, value in zip((row.first, row.read, row.old), steps[adding], strict=False):
                    ctx.set(port, value)
            if cycle - latency in results:
                assert ctx.get(row.psum) == results[cycle - latency], cycle
            await ctx.tick()

    simulate(row, testbench)
