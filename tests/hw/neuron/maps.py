"""Maps in memories as the engines lay them out, by plain indexing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hw.memory.place import Place
from hw.neuron.lowering import Area

WORDS = {"value": 2048, "bits": 1024}
"""Words of the memories of values (conv, u, du) and of bit maps."""


@dataclass(frozen=True)
class Layout:
    """One map of (sample, y, x, channel), in words of ``lanes`` channels x ``pixels`` pixels."""

    at: Place
    shape: tuple[int, int, int, int]
    lanes: int
    pixels: int = 1

    @classmethod
    def place(cls, random, area: Area, *, lanes, pixels=1, pooled=False, at: Place | None = None):
        """A map of an area, or of its pooled size, at random strides, somewhere in its memory."""
        p = area.pooling if pooled else 1
        height, width = area.h_size // p, area.w_size // p
        shape = (area.samples, height, width, area.m_size)
        if at is None:
            row = -(-width // pixels) + int(random.integers(3))
            tile = max(height, 1) * row + int(random.integers(5))
            sample = -(-area.m_size // lanes) * tile + int(random.integers(7))
            room = WORDS["value" if pixels == 1 else "bits"] - area.samples * sample
            at = Place(base=int(random.integers(room)), row=row, tile=tile, sample=sample)
        return cls(at, shape, lanes, pixels)

    def where(self):
        """Indices (word, pixel, lane) of every element, each of the shape of the map."""
        n, y, x, m = np.indices(self.shape)
        at = self.at
        word = at.base + n * at.sample + m // self.lanes * at.tile + y * at.row + x // self.pixels
        return word, x % self.pixels, m % self.lanes

    def overlaps(self, other: Layout) -> bool:
        """Whether a word lies in both maps."""
        return bool(np.isin(self.where()[0], other.where()[0]).any())

    def get(self, memory):
        """The map in an array of (words, pixels, lanes)."""
        return memory[self.where()]

    def put(self, memory, values) -> None:
        """Writes the map; channels that fill up the last tile become 0."""
        samples, height, width, channels = self.shape
        full = (samples, height, width, -(-channels // self.lanes) * self.lanes)
        padded = np.zeros(full, memory.dtype)
        padded[..., :channels] = values
        memory[Layout(self.at, full, self.lanes, self.pixels).where()] = padded
