"""Without these, a BP array could multiply by a tile as it lies, or add where nothing fires."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.bp.array import BpArray
from backspike.hw.isa.conv.shape import EngineShape
from backspike.sim.model import Status, decode, psum_bp, psum_nan
from tests.hw.conv.arrays import GivenStep, PixelSteps, draw_codes, draw_pixel, hold_to

SEED = 103
PIXELS = 30


@pytest.mark.parametrize(
    ("format", "lanes", "weight_words"),
    [(BINARY16, 2, 1), (Float(4, 3), 4, 2), (Float(5, 2), 2, 2)],
)
def test_psums_are_those_of_the_model(format, lanes, weight_words):
    random = np.random.default_rng([SEED, lanes, weight_words])
    shape = EngineShape(
        format=format, lanes=lanes, pixels=4, ring_depth=8, weight_words=weight_words
    )

    def sums(du, slots, **more):
        """By the model: each lane of each step is an output channel of its own."""
        weights = np.concatenate([decode(tiles[slot], format) for slot in slots])
        values = decode(np.concatenate(du), format).reshape(1, 1, -1)
        return psum_bp(values, weights[..., None, None], size=(1, 1), format=format, **more)

    tiles = draw_codes(random, format, shape.ring_depth, lanes, lanes)
    pixels = []
    for _ in range(PIXELS):
        fire = random.random(lanes) < 0.7
        pixel = draw_pixel(random) | {"fire": int(fire @ (1 << np.arange(lanes)))}
        mask = fire.reshape(1, 1, lanes)
        old = random.integers(-1 << 20, 1 << 20, lanes)
        old[random.random(lanes) < 0.1] = psum_nan(format.product_psum_bits)
        steps, given, slots = [], [], []
        for _ in range(int(random.integers(1, 4))):
            take = random.random() < 0.8
            slot, du = int(random.integers(0, shape.ring_depth)), draw_codes(random, format, lanes)
            # A step that takes nothing adds nothing, whatever its du.
            given.append(du * take)
            slots.append(slot)
            status = Status()
            sums(given[-1:], slots[-1:], mask=mask, status=status)
            taking = decode(given[-1], format) != 0
            steps.append(
                GivenStep(
                    inputs={"take": int(take), "step_slot": slot, "du": du.tolist()},
                    shows={"taking": int(taking @ (1 << np.arange(lanes)))},
                    raises={"invalid": status.invalid, "overflow": status.overflow},
                )
            )
        acc = old.reshape(1, 1, lanes) if pixel["read"] else None
        new = sums(given, slots, mask=mask, acc=acc, status=Status()).flatten()
        pixels.append(PixelSteps(pixel=pixel, steps=steps, old=old, new=new))
    hold_to(BpArray(shape), tiles, pixels, random=random, idle={"take": 1})
