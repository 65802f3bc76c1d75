"""Random convolutions for the FP and BP benches."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hw.conv.lowering import ConvLayer
from hw.conv.shape import EngineShape
from sim.model import round_values

__all__ = [
    "CaseSize",
    "bench_environment",
    "bench_settings",
    "case_layer",
    "random_values",
    "strips",
]


@dataclass(frozen=True, kw_only=True)
class CaseSize:
    """Channels of a case, on top of its geometry."""

    layer: ConvLayer
    channels_in: int
    channels_out: int


def bench_environment(shape: EngineShape, *, seed: int, cases: int) -> dict[str, str]:
    """What a launching test tells its bench."""
    return {"BENCH_TASK": pickle.dumps((shape, seed, cases)).hex()}


def bench_settings() -> tuple[EngineShape, int, int]:
    """Shape, seed and number of cases that :func:`bench_environment` has put there."""
    return pickle.loads(bytes.fromhex(os.environ["BENCH_TASK"]))


def case_layer(random: np.random.Generator, index: int, lanes: int) -> CaseSize:
    """A random layer; kernels and strides take turns so that every pair of them comes up."""
    kernel = (1, 2, 3, 5, 7, 4, 6)[index % 7]
    stride = (1, 2, 3, 1, 2)[index // 7 % 5]
    kh, kw = kernel, kernel
    if index % 4 == 3:
        kw = int(random.integers(1, 8))
    padding = tuple(int(p) for p in random.integers(0, max(kh, kw), 4))
    if index % 9 == 8:
        padding = (int(kh), 0, int(kw) % 8, 7)
    if index % 11 == 10:  # fully connected: one row, a column for each sample and time step
        kh, kw, padding = 1, 1, (0, 0, 0, 0)
    low_h, low_w = max(1, kh - padding[0] - padding[1]), max(1, kw - padding[2] - padding[3])
    channels_in = int(random.integers(1, 4 * lanes + 1))
    channels_out = int(random.integers(1, 2 * lanes + 1))
    layer = ConvLayer(
        h=1 if index % 11 == 10 else int(random.integers(low_h, low_h + 7)),
        w=int(random.integers(low_w, low_w + (23 if index % 3 == 0 else 7))),
        kernel=(kh, kw),
        stride=stride,
        padding=padding,
        c_tiles=-(-channels_in // lanes),
        m_tiles=-(-channels_out // lanes),
        samples=int(random.integers(1, 3)),
        steps=int(random.integers(1, 3)),
    )
    return CaseSize(layer=layer, channels_in=channels_in, channels_out=channels_out)


def strips(random: np.random.Generator, rows: int) -> list[tuple[int, int]]:
    """Rows cut into up to three strips."""
    cuts = sorted({0, rows, *(int(cut) for cut in random.integers(0, rows + 1, 2))})
    return list(pairwise(cuts))


def random_values(random, shape, format, *, sparsity=0.0, special=0.0, large=False):
    """Values of a format over many magnitudes, some zero, some NaN or infinite."""
    high = format.top if large else 2
    exponents = random.uniform(format.lsb, high, shape)
    values = np.exp2(exponents) * random.choice([-1.0, 1.0], shape)
    # Signs of zero matter: -0 takes no part, either.
    values = np.where(random.random(shape) < sparsity, random.choice([0.0, -0.0], shape), values)
    values = round_values(values, format)
    odd = random.choice([np.nan, np.inf, -np.inf], shape)
    return np.where(random.random(shape) < special, odd, values)
