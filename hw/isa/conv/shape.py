"""What the FP and BP engines are made of: the same for the hardware and for its commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.config import ArrayConfig, ChipConfig

__all__ = ["EngineShape"]


@dataclass(frozen=True, kw_only=True)
class EngineShape:
    """Sizes of a convolution engine; each is the setting of the configuration that it names."""

    format: Float = BINARY16
    """``format``."""
    lanes: int
    """``array.lanes``."""
    pixels: int
    """``array.spike_pixels``: pixels of a spike word."""
    group_rows: int = ArrayConfig.group_rows
    """``array.group_rows``: most rows of input under the kernel, over all tiles of a group."""
    group_tiles: int = ArrayConfig.group_tiles
    """``array.group_tiles``: most tiles of weights in a group."""
    ring_depth: int = ArrayConfig.ring_depth
    """``array.ring_depth``: tiles of weights in the ring."""
    weight_words: int = ArrayConfig.weight_words
    """``array.weight_words``: rows of a tile in a word of the weight SRAM."""

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The shape of the engines of a core of ``config``."""
        array = config.array
        return cls(
            format=config.format,
            lanes=array.lanes,
            pixels=array.spike_pixels,
            group_rows=array.group_rows,
            group_tiles=array.group_tiles,
            ring_depth=array.ring_depth,
            weight_words=array.weight_words,
        )

    @property
    def tile_words(self) -> int:
        """SRAM words of a tile of weights."""
        return self.lanes // self.weight_words
