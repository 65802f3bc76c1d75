"""Which words of the SRAMs a core's layers use: whole maps of a part of the batch, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.parts import Ring, Room
from backspike.hw.core.connection import Place

__all__ = ["SLOTS", "MapWords", "slots"]

SLOTS = 4
"""Maps of a layer that an SRAM holds at a time, at most."""


@dataclass(frozen=True, kw_only=True)
class MapWords:
    """Words that the maps of some samples take at one time step."""

    room: Room
    samples: int

    def inputs(self, layer: Lowered) -> int:
        """Spikes that a layer reads; of one bit plane."""
        conv = layer.conv
        return self.samples * conv.c_tiles * conv.h * self.room.spike_words(conv.w)

    def neurons(self, layer: Lowered) -> int:
        """Potentials, gradients or psums of its neurons."""
        return self.samples * layer.conv.m_tiles * layer.conv.e * layer.conv.f

    def fired(self, layer: Lowered) -> int:
        """A bit of each neuron."""
        conv = layer.conv
        return self.samples * conv.m_tiles * conv.e * self.room.spike_words(conv.f)

    def pooled(self, layer: Lowered) -> int:
        """Spikes that it makes."""
        rows, columns = layer.pooled
        return self.samples * layer.conv.m_tiles * rows * self.room.spike_words(columns)

    def pooled_psums(self, layer: Lowered) -> int:
        """What BP of the next layer makes."""
        rows, columns = layer.pooled
        return self.samples * layer.conv.m_tiles * rows * columns

    def results(self, layer: Lowered) -> int:
        """A number for each channel."""
        return self.samples * layer.conv.m_tiles


def slots(
    room: Room,
    place: Place,
    sram: str,
    needs: Mapping[int, int],
    *,
    least: int,
    share: int = 1,
) -> dict[int, Ring]:
    """Equally many slots for each of ``needs``, one behind the other.

    Parameters
    ----------
    place : Place
        For people.
    sram : str
        E.g. ``fp.u``, of which the first of ``share`` parts is used.
    needs : mapping of layer to words
        Of a slot.
    least : int
        Slots that each must have.

    Raises
    ------
    ValueError
        If there is no room for so many.
    """
    words, total = room.words(sram, share), sum(needs.values())
    count = min(SLOTS, words // max(1, total))
    if count < least:
        raise ValueError(
            f"whole maps of the layers on core {place} must take at most {words} words of {sram}, "
            f"not {least * total}"
        )
    found: dict[int, Ring] = {}
    first = 0
    for name, each in needs.items():
        found[name] = Ring(first, each, count)
        first += count * each
    return found
