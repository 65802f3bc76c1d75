"""The SRAMs of one core, as the hardware holds them."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from backspike.hw.arith.format import BINARY32, PSUM_BITS
from backspike.hw.config import ChipConfig
from backspike.sim.model.number import Bits, Integers

__all__ = ["Difference", "Memories", "low_bits", "word_kinds"]

Bytes = NDArray[np.uint8]


class Difference(NamedTuple):
    """A word that two memories hold different contents in, as hexadecimal numbers."""

    sram: str
    word: int
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.sram}[{self.word}] {self.here} is not {self.there}"


def word_kinds(config: ChipConfig) -> dict[str, str]:
    """The kind of word of every SRAM of a core: spike, value, weight, psum or gradient."""
    return {
        f"{section.section}.{field.name}": field.metadata["word"]
        for section in (config.fp, config.bp)
        for field in dataclasses.fields(section)
        if "word" in field.metadata
    }


def low_bits(psum: Integers, bits: int) -> Integers:
    """The signed integer that the low bits of a psum lane are: what arrays and pipelines take."""
    above = PSUM_BITS - bits
    return (psum << above) >> above


class Memories:
    """The SRAMs of one core, by the names of their settings, e.g. ``fp.s_in``; zero at first.

    ``raw`` has the bytes of every word, the least significant first. :meth:`words` shows the same
    memory as numbers. No array has elements of one bit, so spikes go through :meth:`bits`,
    :meth:`read_bits` and :meth:`write_bits`. Words that an SRAM does not have raise IndexError.
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        self.raw: dict[str, Bytes] = {
            name: np.zeros((size.words, size.width // 8), np.uint8)
            for name, size in config.srams.items()
        }
        code = np.dtype(f"<u{config.format.width // 8}")
        numbers = {
            "value": code,
            "weight": code,
            "psum": np.dtype(f"<i{PSUM_BITS // 8}"),
            "gradient": np.dtype(f"<u{BINARY32.width // 8}"),
        }
        self._numbers = {
            name: numbers[kind] for name, kind in word_kinds(config).items() if kind in numbers
        }

    def copy(self) -> Self:
        """Memories of their own with the same contents."""
        other = type(self)(self.config)
        for name, words in self.raw.items():
            other.raw[name][:] = words
        return other

    def words(self, name: str) -> NDArray:
        """The memory itself, an SRAM without spikes, as numbers (word, lane).

        Values and weights are codes of the format, with the ``weight_words`` rows of a weight word
        one after the other; psums are int64, gradients codes of binary32.
        """
        return self.raw[name].view(self._numbers[name])

    def bits(self, name: str) -> Bytes:
        """A copy of an SRAM of spikes: (word, pixel, lane), 0 or 1."""
        return self._unpack(self.raw[name])

    def read_bits(self, name: str, word: Integers, pixel: Integers) -> Bytes:
        """Spikes (..., lane) of the pixels of words."""
        if not word.size:
            return np.zeros((*word.shape, self.config.array.lanes), np.uint8)
        first = word.min()
        return self._unpack(self.raw[name][first : word.max() + 1])[word - first, pixel]

    def write_bits(self, name: str, word: Integers, pixel: Integers, bits: Bits) -> None:
        """Writes the spikes (..., lane) of pixels of words; other pixels stay as they are."""
        if not word.size:
            return
        first = word.min()
        rows = self.raw[name][first : word.max() + 1]
        spikes = self._unpack(rows)
        spikes[word - first, pixel] = bits
        rows[:] = np.packbits(spikes.reshape(len(rows), -1), axis=1, bitorder="little")

    def _unpack(self, rows: Bytes) -> Bytes:
        array = self.config.array
        bits = np.unpackbits(rows, axis=1, bitorder="little")
        return bits.reshape(len(rows), array.spike_pixels, array.lanes)

    def differences(self, other: Memories) -> list[Difference]:
        """Every word that ``other`` holds something else in."""
        return [
            Difference(name, int(word), *(_hex(rows[word]) for rows in (here, other.raw[name])))
            for name, here in self.raw.items()
            for word in np.flatnonzero((here != other.raw[name]).any(axis=1))
        ]


def _hex(word: Bytes) -> str:
    """A word as one number, as a waveform viewer shows it."""
    return word[::-1].tobytes().hex()
