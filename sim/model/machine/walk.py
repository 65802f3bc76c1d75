"""Which words a command stands for: addresses as sums over loops, modulo the address space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backspike.hw.limits import ADDRESS_BITS
from backspike.sim.model.machine.memories import Memories
from backspike.sim.model.number import Bits, Integers, Values, decode

__all__ = ["Windows", "grouped", "loop", "nested", "read_values", "wrapped"]


def loop(count: int, stride: int = 1) -> Integers:
    """What the iterations of a loop add to an address or a coordinate."""
    return np.arange(count, dtype=np.int64) * stride


def nested(*loops: Integers) -> Integers:
    """What nested loops add, with an axis for each, the outermost first."""
    return np.asarray(reduce(np.add.outer, loops))


def grouped(groups: int, size: int, last: int, group: int, each: int) -> Integers:
    """What a loop over groups and one over their members add, on one axis.

    A group has ``size`` members, the last one ``last``.
    """
    sums = nested(loop(groups, group), loop(size, each)).reshape(-1)
    return sums[: (groups - 1) * size + last]


def wrapped(address: Integers) -> Integers:
    """Addresses modulo the address space: strides that go backwards are large ones forward."""
    return address & ((1 << ADDRESS_BITS) - 1)


def read_values(memories: Memories, name: str, word: Integers) -> Values:
    """Values (..., lane) of words; what lies between them is decoded once, however often read."""
    if not word.size:
        return np.zeros((*word.shape, memories.config.array.lanes))
    first = word.min()
    codes = memories.words(name)[first : word.max() + 1]
    return decode(codes, memories.config.format)[word - first]


@dataclass(frozen=True)
class Windows:
    """The inputs under the kernel at every output pixel: axes (n, t, y, x, tile, r, s).

    Each array has length 1 along the axes that it does not depend on.
    """

    row: Integers
    """Where the row of the input map begins."""
    x: Integers
    """Column of it."""
    inside: Bits
    """The input is in the map; padding is 0, and read by no engine."""

    @classmethod
    def of(cls, rows: Integers, y: Integers, x: Integers, size: tuple[int, int]) -> Self:
        """From the rows (n, t, y, tile, r), the coordinates y (y, r) and x (x, s), and map size."""
        in_map = ((y >= 0) & (y < size[0]))[:, None, None, :, None]
        return cls(
            row=rows[:, :, :, None, :, :, None],
            x=x[:, None, None, :],
            inside=in_map & ((x >= 0) & (x < size[1]))[:, None, None, :],
        )

    def spikes(self, memories: Memories, name: str) -> NDArray[np.uint8]:
        """Spikes (..., lane) of a map with many pixels to a word."""
        pixels = memories.config.array.spike_pixels
        inside, word, pixel = self._each(self.row + self.x // pixels, self.x % pixels)
        return _filled(inside, memories.read_bits(name, word, pixel))

    def values(self, memories: Memories, name: str) -> Values:
        """Values (..., lane) of a map with a pixel to a word."""
        inside, word, _ = self._each(self.row + self.x, self.x)
        return _filled(inside, read_values(memories, name, word))

    def _each(self, word: Integers, pixel: Integers) -> tuple[Bits, Integers, Integers]:
        """Who is inside, at full length, and the words and pixels of those."""
        shape = np.broadcast_shapes(word.shape, self.inside.shape)
        inside = np.broadcast_to(self.inside, shape)
        word = np.broadcast_to(word, shape)
        return inside, wrapped(word[inside]), np.broadcast_to(pixel, shape)[inside]


def _filled(inside: Bits, read: NDArray[Any]) -> NDArray[Any]:
    """What was read where it belongs, and 0 elsewhere."""
    full = np.zeros((*inside.shape, read.shape[-1]), read.dtype)
    full[inside] = read
    return full
