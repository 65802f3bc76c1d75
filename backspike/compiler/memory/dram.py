"""What lies where in DRAM: maps and weights of a network, and how blocks of them are copied.

A map is stored block by block, a block being one channel tile of one sample of one time step, in
the order step, sample, tile. Blocks begin at multiples of the bus width; so do the rows in them
where a copy begins within a block. All words are those of the SRAM that they go to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backspike.hw.control.fetch import PROGRAM_ALIGNMENT
from backspike.hw.isa.operands import COUNT_MAX
from backspike.hw.limits import ADDRESS_BITS
from backspike.sim.model.machine.memories import Bytes

__all__ = ["ALIGNMENT", "Allocator", "Axis", "Maps", "Region", "rounded_up", "transfers"]

ALIGNMENT = PROGRAM_ALIGNMENT
"""Regions begin at multiples of so many bytes, programs among them: more than any bus is wide."""
DRAM_BYTES = 1 << 32
"""What an address of the DMA reaches."""
WORDS_MAX = 1 << ADDRESS_BITS


def rounded_up(value: int, multiple: int) -> int:
    """The least multiple that is not below ``value``."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of DRAM."""

    address: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.address + self.size


class Allocator:
    """Gives out regions one behind the other, by name."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes given out."""

    def take(self, name: str, size: int) -> Region:
        """A region of ``size`` bytes.

        Raises
        ------
        ValueError
            If DRAM has no room for it.
        """
        region = Region(address=self.size, size=size)
        if region.end > DRAM_BYTES:
            raise ValueError(
                f"DRAM must hold at most {DRAM_BYTES} bytes, {name} ends at {region.end}"
            )
        self.size = rounded_up(region.end, ALIGNMENT)
        return region


@dataclass(frozen=True)
class Axis:
    """``count`` items, with so many SRAM words and DRAM bytes from one to the next."""

    count: int
    sram: int
    dram: int


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Maps in DRAM: (step, sample, tile, row, word).

    ``bus_bytes`` is what blocks are aligned to, and rows if they are ``padded``.
    """

    address: int
    steps: int
    samples: int
    tiles: int
    rows: int
    row_words: int
    word_bytes: int
    bus_bytes: int
    padded: bool = False

    @property
    def row_bytes(self) -> int:
        """From one row to the next."""
        size = self.row_words * self.word_bytes
        return rounded_up(size, self.bus_bytes) if self.padded else size

    @property
    def tile_bytes(self) -> int:
        """From one block to the next."""
        return rounded_up(self.rows * self.row_bytes, self.bus_bytes)

    @property
    def strides(self) -> tuple[int, int, int, int, int]:
        """Bytes from one step, sample, tile, row and word to the next."""
        sample = self.tiles * self.tile_bytes
        step = self.samples * sample
        return step, sample, self.tile_bytes, self.row_bytes, self.word_bytes

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return self.steps * self.strides[0]

    def words(self, dram: Bytes) -> Bytes:
        """The maps themselves, (step, sample, tile, row, word, byte): not a copy."""
        return np.ndarray(
            (self.steps, self.samples, self.tiles, self.rows, self.row_words, self.word_bytes),
            np.uint8,
            buffer=dram,
            offset=self.address,
            strides=(*self.strides, 1),
        )

    def copies(
        self,
        base: int,
        *,
        steps: range,
        samples: range,
        tiles: range,
        rows: range | None = None,
    ) -> Iterator[dict[str, int]]:
        """Operands of the DMA instructions that copy a part of the maps.

        In the SRAM it lies from word ``base`` on, without gaps.
        """
        rows = range(self.rows) if rows is None else rows
        parts = (steps, samples, tiles, rows)
        sram = [self.row_words]
        for part in reversed(parts[1:]):
            sram.insert(0, sram[0] * len(part))
        axes = [
            Axis(len(part), words, stride * part.step)
            for part, words, stride in zip(parts, sram, self.strides, strict=False)
        ]
        first = sum(part.start * stride for part, stride in zip(parts, self.strides, strict=False))
        yield from transfers(
            base=base,
            dram=self.address + first,
            axes=axes,
            words=self.row_words,
            word_bytes=self.word_bytes,
        )


def transfers(
    *, base: int, dram: int, axes: Sequence[Axis], words: int, word_bytes: int
) -> Iterator[dict[str, int]]:
    """Operands of as few DMA instructions as copy a block of any number of dimensions.

    Parameters
    ----------
    base, dram : int
        First word in the SRAM, and first byte in DRAM.
    axes : sequence of Axis
        Outermost first.
    words : int
        Words that lie one behind the other, here and there, at each place that the axes name.
    word_bytes : int
        Bytes of a word.
    """
    left: list[Axis] = []
    for axis in reversed([axis for axis in axes if axis.count > 1]):
        if not left and axis.sram == words and axis.dram == words * word_bytes:
            words *= axis.count
        elif (
            left
            and axis.sram == left[0].count * left[0].sram
            and axis.dram == left[0].count * left[0].dram
        ):
            left[0] = Axis(axis.count * left[0].count, left[0].sram, left[0].dram)
        else:
            left.insert(0, axis)
    rows = max(left, key=lambda axis: axis.count, default=Axis(1, 0, 0))
    others = [axis for axis in left if axis is not rows]
    for index in np.ndindex(*(axis.count for axis in others)):
        sram_first = base + sum(i * axis.sram for i, axis in zip(index, others, strict=True))
        dram_first = dram + sum(i * axis.dram for i, axis in zip(index, others, strict=True))
        for row in range(0, rows.count, COUNT_MAX):
            for word in range(0, words, WORDS_MAX):
                yield {
                    "base": sram_first + row * rows.sram + word,
                    "words": min(words - word, WORDS_MAX),
                    "rows": min(rows.count - row, COUNT_MAX),
                    "sram_row": rows.sram,
                    "dram": dram_first + row * rows.dram + word * word_bytes,
                    "dram_row": rows.dram,
                }
