"""Random convolutions for the FP and BP benches, and how their data lie in the SRAMs."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from hw.arith.format import FP16, Float
from hw.conv.lowering import ConvLayer, EngineShape, Place
from sim.model import encode, round_values

__all__ = [
    "CaseSize",
    "bench_settings",
    "case_layer",
    "pack_spikes",
    "random_values",
    "tile_maps",
    "tile_weights",
]


@dataclass(frozen=True, kw_only=True)
class CaseSize:
    """Channels of a case, on top of its geometry."""

    layer: ConvLayer
    channels_in: int
    channels_out: int


def bench_settings() -> dict:
    """What the launching test has put into the environment for a bench."""
    return {
        "lanes": int(os.environ["BENCH_LANES"]),
        "pixels": int(os.environ["BENCH_PIXELS"]),
        "weight_words": int(os.environ["BENCH_WEIGHT_WORDS"]),
        "format": Float(*map(int, os.environ["BENCH_FORMAT"].split(","))),
        "seed": int(os.environ["BENCH_SEED"]),
        "cases": int(os.environ["BENCH_CASES"]),
    }


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
    low_h, low_w = max(1, kh - padding[0] - padding[1]), max(1, kw - padding[2] - padding[3])
    channels_in = int(random.integers(1, 4 * lanes + 1))
    channels_out = int(random.integers(1, 2 * lanes + 1))
    layer = ConvLayer(
        h=int(random.integers(low_h, low_h + 7)),
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


def pad_channels(maps: np.ndarray, tiles: int, lanes: int) -> np.ndarray:
    """Zeros behind the last axis up to whole tiles."""
    missing = tiles * lanes - maps.shape[-1]
    return np.pad(maps, [(0, 0)] * (maps.ndim - 1) + [(0, missing)])


def tile_maps(maps: np.ndarray, tiles: int, lanes: int) -> np.ndarray:
    """(sample, step, y, x, channel) as words (sample, step, tile, y, x, lane)."""
    padded = pad_channels(maps, tiles, lanes)
    return np.moveaxis(padded.reshape(*padded.shape[:-1], tiles, lanes), -2, 2)


def pack_spikes(spikes: np.ndarray, tiles: int, lanes: int, pixels: int) -> np.ndarray:
    """(sample, step, y, x, channel) bits as spike words (sample, step, tile, y, word, byte)."""
    bits = tile_maps(spikes.astype(np.uint8), tiles, lanes)
    words = -(-bits.shape[4] // pixels)
    bits = np.pad(bits, [(0, 0)] * 4 + [(0, words * pixels - bits.shape[4]), (0, 0)])
    bits = bits.reshape(*bits.shape[:4], words, pixels * lanes)
    return np.packbits(bits, axis=-1, bitorder="little")


def tile_weights(w: np.ndarray, layer: ConvLayer, lanes: int, format: Float = FP16) -> np.ndarray:
    """(m, c, r, s) values as codes (m tile, c tile, r, s, m lane, c lane)."""
    m, c, r, s = w.shape
    full = np.zeros((layer.m_tiles * lanes, layer.c_tiles * lanes, r, s))
    full[:m, :c] = w
    full = full.reshape(layer.m_tiles, lanes, layer.c_tiles, lanes, r, s)
    return encode(full.transpose(0, 2, 4, 5, 1, 3), format)


def words_place(array: np.ndarray, base: int = 0) -> Place:
    """The place of words (sample, step, tile, y, x, ...) stored one after the other."""
    _, steps, tiles, rows, columns = array.shape[:5]
    return Place(
        base=base,
        row=columns,
        tile=rows * columns,
        step=tiles * rows * columns,
        sample=steps * tiles * rows * columns,
    )


def engine_shape(settings: dict, rows: int = 8, entries: int = 18) -> EngineShape:
    """The shape of the bench's engine."""
    return EngineShape(
        lanes=settings["lanes"],
        pixels=settings["pixels"],
        rows=rows,
        entries=entries,
        weight_words=settings["weight_words"],
    )


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
