"""How maps and weights lie in the SRAMs: between arrays of numbers and memory words.

Maps come as (..., y, x, channel), as in the model; the axes in front (samples, time steps) stay.
A word holds one value, or one bit, for each of the lanes of a channel tile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.lowering.layout import Layout
from backspike.hw.arith.format import Float
from backspike.sim.model import encode

__all__ = [
    "codes_dtype",
    "even_size",
    "layout_of",
    "pack_spikes",
    "tile_maps",
    "tile_weights",
    "tiles_of",
]


def tiles_of(channels: int, lanes: int) -> int:
    """Channel tiles that so many channels take."""
    return -(-channels // lanes)


def even_size(total: int, most: int) -> int:
    """The size of equal parts, but for the last, of at most ``most``, as few as there can be."""
    return -(-total // -(-total // most))


def codes_dtype(format: Float) -> np.dtype:
    """The unsigned integers that hold stored values of a format."""
    return np.dtype(f"u{format.width // 8}")


def tile_maps(maps: NDArray, lanes: int) -> NDArray:
    """(..., y, x, channel) as words (..., tile, y, x, lane), zeros behind the last channel."""
    tiles = tiles_of(maps.shape[-1], lanes)
    missing = tiles * lanes - maps.shape[-1]
    padded = np.pad(maps, [(0, 0)] * (maps.ndim - 1) + [(0, missing)])
    return np.moveaxis(padded.reshape(*maps.shape[:-1], tiles, lanes), -2, -4)


def pack_spikes(spikes: NDArray, lanes: int, pixels: int) -> NDArray:
    """(..., y, x, channel) bits as spike words (..., tile, y, word, byte)."""
    bits = tile_maps(np.asarray(spikes).astype(np.uint8), lanes)
    words = -(-bits.shape[-2] // pixels)
    missing = words * pixels - bits.shape[-2]
    bits = np.pad(bits, [(0, 0)] * (bits.ndim - 2) + [(0, missing), (0, 0)])
    return np.packbits(
        bits.reshape(*bits.shape[:-2], words, pixels * lanes), axis=-1, bitorder="little"
    )


def tile_weights(w: NDArray, lanes: int, format: Float | None) -> NDArray:
    """(m, c, r, s) as (m tile, c tile, r, s, m lane, c lane): codes of ``format``, or as is."""
    m, c, r, s = w.shape
    m_tiles, c_tiles = tiles_of(m, lanes), tiles_of(c, lanes)
    full = np.zeros((m_tiles * lanes, c_tiles * lanes, r, s), w.dtype)
    full[:m, :c] = w
    tiles = full.reshape(m_tiles, lanes, c_tiles, lanes, r, s).transpose(0, 2, 4, 5, 1, 3)
    return tiles if format is None else encode(tiles, format).astype(codes_dtype(format))


def layout_of(words: NDArray, base: int = 0, axes: tuple[str, str] = ("sample", "step")) -> Layout:
    """The layout of words (two axes, tile, y, x, ...) that are stored one after the other.

    ``axes`` says what the first two are.
    """
    _, inner, tiles, rows, columns = words.shape[:5]
    strides = (inner * tiles * rows * columns, tiles * rows * columns)
    return Layout(
        base=base,
        row=columns,
        tile=rows * columns,
        **dict(zip(axes, strides, strict=True)),
    )
