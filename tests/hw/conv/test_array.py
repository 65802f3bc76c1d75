"""Without these, weights could come to another row of a tile, or a psum to another pixel."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.isa.conv.shape import EngineShape
from tests.hw.conv.arrays import GivenStep, PixelSteps, PlainArray, draw_pixel, hold_to

SEED = 97
PIXELS = 40


@pytest.mark.parametrize("latency", [1, 2, 5])
@pytest.mark.parametrize(("lanes", "weight_words"), [(3, 1), (4, 2), (2, 2)])
def test_each_pixel_gets_its_own_sum_after_the_latency(lanes, weight_words, latency):
    random = np.random.default_rng([SEED, lanes, latency])
    shape = EngineShape(lanes=lanes, pixels=4, ring_depth=8, weight_words=weight_words)
    nan = shape.format.nan
    tiles = random.integers(0, nan, (shape.ring_depth, lanes, lanes))
    tiles[0, 0, 0] = nan
    pixels = []
    for _ in range(PIXELS):
        pixel = draw_pixel(random)
        old = random.integers(-1 << 40, 1 << 40, lanes)
        total, steps = old * pixel["read"], []
        for _ in range(int(random.integers(1, 4))):
            take = random.random(lanes) < 0.6
            slots = random.integers(0, shape.ring_depth, lanes)
            taken = tiles[slots, :, np.arange(lanes)][take]  # by lane, then row
            total = total + taken.sum(axis=0)
            steps.append(
                GivenStep(
                    inputs={"take": int(take @ (1 << np.arange(lanes))), "slots": slots.tolist()},
                    raises={"invalid": bool((taken == nan).any())},
                )
            )
        pixels.append(PixelSteps(pixel=pixel, steps=steps, old=old, new=total))
    array = PlainArray(shape, latency=latency)
    hold_to(array, tiles, pixels, random=random, idle={"take": (1 << lanes) - 1})
