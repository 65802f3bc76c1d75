"""Chips to test, memories full of garbage, and maps somewhere in them, by plain indexing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from backspike.compiler.lowering.layout import Layout
from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.config import ArrayConfig, BpSrams, ChipConfig, FpSrams
from backspike.sim.model.machine import Memories
from backspike.sim.model.machine.memories import word_kinds

__all__ = ["CONFIGS", "Map", "chip", "garbage", "random_psums", "write_weights"]

WORDS = {"spike": 8192, "value": 16384, "psum": 16384, "weight": 8192, "gradient": 8192}
"""Words of the SRAMs of each kind."""


def chip(
    name: str, format: Float = BINARY16, *, words: Mapping[str, int] = WORDS, **array: int
) -> ChipConfig:
    """A chip whose SRAMs have so many words of each kind, room for every case."""
    sizes = ArrayConfig(**array)
    width = {
        "spike": sizes.spike_pixels * sizes.lanes // 8,
        "value": format.width * sizes.lanes // 8,
        "psum": 8 * sizes.lanes,
        "weight": format.width * sizes.lanes * sizes.weight_words // 8,
        "gradient": 4 * sizes.lanes,
    }
    srams: dict[str, dict[str, int]] = {"fp": {}, "bp": {}}
    for sram, kind in word_kinds(ChipConfig()).items():
        part, _, field = sram.partition(".")
        srams[part][field] = words[kind] * width[kind]
    return ChipConfig(
        name=name,
        format=format,
        array=sizes,
        fp=FpSrams(**srams["fp"]),
        bp=BpSrams(**srams["bp"]),
    )


CONFIGS = [
    chip("four", lanes=4, pipeline_lanes=2, spike_pixels=8),
    # The smallest groups there are, and two rows of a tile to a word.
    chip(
        "small",
        Float(5, 2),
        lanes=4,
        pipeline_lanes=1,
        spike_pixels=8,
        group_rows=1,
        group_tiles=7,
        ring_depth=16,
        weight_words=2,
    ),
    chip("narrow", Float(4, 3), lanes=2, pipeline_lanes=2, spike_pixels=16, weight_words=2),
    chip("full", lanes=16, spike_pixels=16, weight_words=4),
]


def garbage(random: np.random.Generator, config: ChipConfig) -> Memories:
    """Memories full of anything."""
    memories = Memories(config)
    for words in memories.raw.values():
        words[:] = np.frombuffer(random.bytes(words.size), np.uint8).reshape(words.shape)
    return memories


def random_psums(random: np.random.Generator, shape: tuple[int, ...], bits: int):
    """Psums of all magnitudes, some of them NaN, that leave room for sums of a few terms more."""
    psums = random.integers(-1 << 62, 1 << 62, shape) >> random.integers(65 - bits, 63, shape)
    return np.where(random.random(shape) < 0.02, -1 << (bits - 1), psums)


def write_weights(memories: Memories, sram: str, tiles, base: int) -> None:
    """Puts rows of tiles, in order, where the weights begin."""
    words = memories.words(sram)
    rows = tiles.reshape(-1, words.shape[1])
    words[base : base + len(rows)] = rows


@dataclass(frozen=True, kw_only=True)
class Map:
    """Maps (sample, step, y, x, channel) in an SRAM."""

    sram: str
    at: Layout
    shape: tuple[int, int, int, int, int]
    lanes: int
    pixels: int

    @classmethod
    def anywhere(cls, random, memories: Memories, sram: str, shape) -> Map:
        """At random strides, in a random order of tiles, steps and samples, anywhere."""
        array, words = memories.config.array, len(memories.raw[sram])
        pixels = array.spike_pixels if word_kinds(memories.config)[sram] == "spike" else 1
        samples, steps, height, width, channels = shape
        counts = {"tile": -(-channels // array.lanes), "step": steps, "sample": samples}
        for gap in (3, 1):  # maps that would not fit otherwise lie without gaps
            row = max(1, -(-width // pixels)) + int(random.integers(gap))
            span = max(1, height) * row + int(random.integers(gap))
            strides = {}
            for name in random.permutation(sorted(counts)):
                strides[str(name)] = span
                span = counts[str(name)] * span + int(random.integers(gap))
            if span <= words:
                break
        base = int(random.integers(words - span + 1))
        at = Layout(base=base, row=row, **strides)
        return cls(sram=sram, at=at, shape=tuple(shape), lanes=array.lanes, pixels=pixels)

    def where(self, channels: int):
        """Indices (word, pixel, lane) of every element of as many channels."""
        n, t, y, x, c = np.indices((*self.shape[:4], channels))
        at = self.at
        word = at.base + n * at.sample + t * at.step + y * at.row + x // self.pixels
        return word + c // self.lanes * at.tile, x % self.pixels, c % self.lanes

    def get(self, memories: Memories):
        """The map: codes, psums or bits."""
        word, pixel, lane = self.where(self.shape[-1])
        if self.pixels > 1:
            return memories.bits(self.sram)[word, pixel, lane]
        return memories.words(self.sram)[word, lane]

    def put(self, memories: Memories, values) -> None:
        """Writes the map; channels that fill up the last tile become 0."""
        channels = -(-self.shape[-1] // self.lanes) * self.lanes
        word, pixel, lane = self.where(channels)
        full = np.zeros((*self.shape[:4], channels), np.asarray(values).dtype)
        full[..., : self.shape[-1]] = values
        if self.pixels == 1:
            memories.words(self.sram)[word, lane] = full
            return
        bits = memories.bits(self.sram)
        bits[word, pixel, lane] = full
        packed = np.packbits(bits.reshape(len(bits), -1), axis=1, bitorder="little")
        memories.raw[self.sram][:] = packed

    def from_row(self, row: int) -> Layout:
        """The place of the rows from ``row`` on."""
        at = self.at
        return Layout(
            base=at.base + row * at.row, row=at.row, tile=at.tile, step=at.step, sample=at.sample
        )

    def overlaps(self, other: Map) -> bool:
        """Whether a word lies in both."""
        channels = (self.shape[-1], other.shape[-1])
        mine, others = (m.where(c)[0] for m, c in zip((self, other), channels, strict=True))
        return bool(np.isin(mine, others).any())
