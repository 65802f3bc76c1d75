"""Without these, an FP array could take another lane's weight, or say the wrong step was NaN."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.fp.array import FpArray
from backspike.hw.isa.conv.shape import EngineShape
from backspike.sim.model import Status, decode, psum_fp, psum_nan
from tests.hw.conv.arrays import GivenStep, PixelSteps, draw_codes, draw_pixel, hold_to

SEED = 101
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
    shift = 2
    tiles = draw_codes(random, format, shape.ring_depth, lanes, lanes)
    tiles[0, 0, 0] = format.nan
    weights = decode(tiles, format)
    special = ~np.isfinite(weights)
    pixels = []
    for _ in range(PIXELS):
        pixel = draw_pixel(random)
        old = random.integers(-1 << 20, 1 << 20, lanes)
        old[random.random(lanes) < 0.1] = psum_nan(format.psum_bits)
        steps, taken, inputs = [], [], []
        for _ in range(int(random.integers(1, 4))):
            take = random.random(lanes) < 0.6
            slots = random.integers(0, shape.ring_depth, lanes)
            steps.append(
                GivenStep(
                    inputs={"take": int(take @ (1 << np.arange(lanes))), "slots": slots.tolist()},
                    raises={"invalid": bool(special[slots, :, np.arange(lanes)][take].any())},
                )
            )
            # Every lane of every step is an input channel of its own.
            taken.append(weights[slots, :, np.arange(lanes)])
            inputs.append(take)
        new = psum_fp(
            (np.concatenate(inputs).astype(np.int64) << shift).reshape(1, 1, -1),
            np.concatenate(taken).T[..., None, None],
            acc=old.reshape(1, 1, lanes) if pixel["read"] else None,
            status=Status(),
            format=format,
        )
        pixels.append(PixelSteps(pixel=pixel, steps=steps, old=old, new=new.flatten()))
    idle = {"take": (1 << lanes) - 1}
    hold_to(FpArray(shape), tiles, pixels, random=random, held={"shift": shift}, idle=idle)
