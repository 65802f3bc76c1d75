"""Without this, a pixel could be taken twice, left out, or paired with another pixel's du."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from backspike.hw.wg.picker import WgPicker
from tests.hw.channels import give
from tests.hw.simulation import pause, simulate

SEED = 11
LATENCY = 3


@pytest.mark.parametrize("stride", [1, 3, 7])
def test_picker_takes_every_pending_pixel_once_and_in_order(stride):
    lanes, pixels = 4, 8
    picker = WgPicker(lanes=lanes, pixels=pixels)
    random = np.random.default_rng(SEED)
    words = []
    for index in range(40):
        last = int(index % 5 == 4)
        pending = int(random.integers(0 if last else 1, 1 << pixels))
        words.append(
            {
                "place": {
                    "pending": 0 if index == 9 else pending,
                    "rest": int(random.integers(0, stride)),
                    "du_addr": int(random.integers(0, 1 << 16)),
                    "last": last,
                    "last_m": int(index % 10 == 4),
                    "last_c": int(index % 15 == 4),
                },
                "spikes": [int(v) for v in random.integers(0, 1 << lanes, pixels)],
            }
        )
    expected = []
    for word in words:
        place = word["place"]
        pixels_taken = [p for p in range(pixels) if place["pending"] >> p & 1]
        for p in pixels_taken:
            addr = (place["du_addr"] + (place["rest"] + p) // stride) % (1 << 16)
            ends = int(place["last"] and p == pixels_taken[-1])
            expected.append((1, addr, word["spikes"][p], ends, place["last_m"], place["last_c"]))
        if not pixels_taken:
            expected.append((0, None, 0, 1, place["last_m"], place["last_c"]))
    got = []

    async def feed(ctx):
        for word in words:
            await pause(ctx, random, 0.3)
            await give(ctx, picker.i, payload=word)

    async def take(ctx):
        ctx.set(picker.stride, stride)
        for _ in range(2000):
            ready = int(random.random() < 0.7)
            ctx.set(picker.o.ready, ready)
            if ctx.get(picker.o.valid) and ready:
                step = ctx.get(picker.o.payload)
                vector = step["vector"]
                addr = step["addr"] if vector["read"] else None
                flags = (vector[name] for name in ("last", "last_m", "last_c"))
                got.append((vector["read"], addr, vector["spikes"], *flags))
            await ctx.tick()

    simulate(picker, feed, take)
    assert got == expected, SEED


def test_a_step_comes_in_each_cycle_the_first_three_cycles_after_its_word():
    picker = WgPicker(lanes=2, pixels=4)
    came = []

    async def bench(ctx):
        ctx.set(picker.stride, 1)
        ctx.set(picker.o.ready, 1)
        waiting = deque([0b1010, 0b0001, 0b1111, 0b1000, 0])
        for cycle in range(20):
            ctx.set(picker.i.valid, bool(waiting))
            if waiting:
                place = {"pending": waiting[0], "last": len(waiting) == 1}
                ctx.set(picker.i.payload, {"place": place, "spikes": [0] * 4})
            *_, ready, valid = await ctx.tick().sample(picker.i.ready, picker.o.valid)
            if ready and waiting:
                waiting.popleft()
            if valid:
                came.append(cycle)

    simulate(picker, bench)
    assert came == list(range(LATENCY, LATENCY + 2 + 1 + 4 + 1 + 1))
