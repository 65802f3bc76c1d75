"""Weights in fp.w and bp.w: there from the first use on, or part by part."""

from __future__ import annotations

from typing import NamedTuple

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram import Axis, transfers
from backspike.compiler.memory.parts import Ring, WeightRoom
from backspike.compiler.planning.context import Builder

__all__ = ["Loaded", "WeightPlan", "load_weights"]


class Loaded(NamedTuple):
    """Where weights lie."""

    base: int
    """First word of the first tile."""
    out_stride: int
    """Words from one tile of outputs to the next; those of inputs lie side by side."""


def load_weights(
    builder: Builder, layer: Lowered, base: int, out_tiles: range, in_tiles: range
) -> Loaded:
    """Adds what loads the weights of these tiles to words from ``base`` on."""
    context = builder.context
    array, row_bytes = context.config.array, context.room.row_bytes
    tile_words = layer.tile_rows // array.weight_words
    first = out_tiles.start * layer.conv.c_tiles + in_tiles.start
    row = context.layout.first_row[layer.index] + first * layer.tile_rows
    words = len(in_tiles) * tile_words
    stride = layer.conv.c_tiles * layer.tile_rows * row_bytes
    builder.move(
        "DMA_RD",
        "w",
        transfers(
            base=base,
            dram=context.layout.stored + row * row_bytes,
            axes=[Axis(len(out_tiles), words, stride)],
            words=words,
            word_bytes=row_bytes * array.weight_words,
        ),
        reason=f"weights of layer {layer.index}",
    )
    return Loaded(base, words)


class WeightPlan:
    """Loads weights when they are first asked for, and finds them later.

    Parameters
    ----------
    builder : Builder
        The program that the loads are added to.
    room : WeightRoom
        Of the ``w`` SRAM of its sub-core.
    """

    def __init__(self, builder: Builder, room: WeightRoom):
        self._builder, self._room = builder, room
        words = builder.context.room.words(room.sram, room.share)
        self._ring = Ring(0, words, room.share)
        self._next = 0
        self._there: dict[object, Loaded] = {}

    def find(self, layer: Lowered, out_tiles: range, in_tiles: range) -> Loaded:
        """Where the weights of these tiles are, for what is added to the program next."""
        tile_words = layer.tile_rows // self._builder.context.config.array.weight_words
        if not self._room.resident:
            key = layer.index, out_tiles, in_tiles
            if key not in self._there:
                if len(self._there) == self._room.share:
                    del self._there[next(iter(self._there))]  # the oldest is overwritten
                self._there[key] = load_weights(
                    self._builder, layer, self._ring.take(), out_tiles, in_tiles
                )
            return self._there[key]
        whole = range(layer.conv.m_tiles), range(layer.conv.c_tiles)
        if layer.index not in self._there:
            self._there[layer.index] = load_weights(self._builder, layer, self._next, *whole)
            self._next += layer.conv.m_tiles * layer.conv.c_tiles * tile_words
        found = self._there[layer.index]
        first = out_tiles.start * layer.conv.c_tiles + in_tiles.start
        return found._replace(base=found.base + first * tile_words)
