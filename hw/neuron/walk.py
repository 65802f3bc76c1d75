"""The walk over element-wise maps: tile by tile, and window by window where there is pooling."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.neuron.command import LEVELS, Address, BitAddress, ElementExtent
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.loops import LoopNest

__all__ = ["Walk"]


class Walk(EmitOnce):
    """Visits every pixel of every tile and sample once, and says where its operands lie.

    Pixels come window by window, row-major inside a window and over the windows. Windows that the
    map cuts off are visited too; they are not ``whole``. Outputs are valid while ``active``, from
    the cycle after ``start``; throughput is one pixel a cycle (``step``).

    Parameters
    ----------
    words : int
        Operands with one word a pixel.
    bit_maps : int
        Operands that are bit maps.
    pixels : int
        Pixels in a word of a bit map; a power of two.

    Members
    -------
    start, step : In(1)
    extent : In(ElementExtent), words : In(words x Address), bits : In(bit_maps x BitAddress)
        Held while active.
    active : Out(1)
    opens, closes : Out(1)
        The pixel is the first, or the last, of its window.
    whole : Out(1)
        The window lies in the map entirely.
    last_tile : Out(1)
    word_addr : Out(words x ADDRESS_BITS), bit_addr : Out(bit_maps x ADDRESS_BITS)
    bit_pixel : Out(bit_maps x log2 P)
    """

    _words = Parameter[int]()
    _bit_maps = Parameter[int]()

    def __init__(self, *, words: int, bit_maps: int, pixels: int):
        self._pixel_bits = exact_log2(pixels)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "extent": In(ElementExtent),
                "words": In(data.ArrayLayout(Address, words)),
                "bits": In(data.ArrayLayout(BitAddress, bit_maps)),
                "active": Out(1),
                "opens": Out(1),
                "closes": Out(1),
                "whole": Out(1),
                "last_tile": Out(1),
                "word_addr": Out(data.ArrayLayout(ADDRESS_BITS, words)),
                "bit_addr": Out(data.ArrayLayout(ADDRESS_BITS, bit_maps)),
                "bit_pixel": Out(data.ArrayLayout(self._pixel_bits, bit_maps)),
            },
            words=words,
            bit_maps=bit_maps,
            pixels=pixels,
        )

    def elaborate(self, platform):
        m = Module()
        places = [self.words[i] for i in range(self._words)]
        for i in range(self._bit_maps):
            places += [self.bits[i].row, self.bits[i].column]
        level = {name: number for number, name in enumerate(LEVELS)}
        # The last window of a row or column is cut where the pool does not divide the map.
        m.submodules.nest = nest = LoopNest(
            levels=len(LEVELS),
            values=len(places),
            tails=((level["row"], level["window_row"]), (level["column"], level["window_column"])),
        )
        extent = self.extent

        m.d.comb += [
            nest.start.eq(self.start),
            nest.step.eq(self.step),
            nest.count[level["sample"]].eq(extent.samples),
            nest.count[level["tile"]].eq(extent.tiles),
            nest.count[level["window_row"]].eq(extent.window_rows),
            nest.count[level["window_column"]].eq(extent.window_columns),
            nest.count[level["row"]].eq(extent.pooling),
            nest.tail[level["row"]].eq(extent.last_rows),
            nest.count[level["column"]].eq(extent.pooling),
            nest.tail[level["column"]].eq(extent.last_columns),
        ]
        for number, place in enumerate(places):
            m.d.comb += [nest.base[number].eq(place.base), nest.stride[number].eq(place.stride)]

        whole = [
            ~nest.last[level[window]] | (rest == extent.pooling)
            for window, rest in (
                ("window_row", extent.last_rows),
                ("window_column", extent.last_columns),
            )
        ]
        inside = slice(level["row"], level["column"] + 1)
        m.d.comb += [
            self.active.eq(nest.active),
            self.opens.eq(nest.first[inside].all()),
            self.closes.eq(nest.last[inside].all()),
            self.whole.eq(Cat(whole).all()),
            self.last_tile.eq(nest.last[level["tile"]]),
        ]
        for i in range(self._words):
            m.d.comb += self.word_addr[i].eq(nest.value[i])
        for i in range(self._bit_maps):
            row, column = nest.value[self._words + 2 * i], nest.value[self._words + 2 * i + 1]
            m.d.comb += [
                self.bit_addr[i].eq(row + (column >> self._pixel_bits)),
                self.bit_pixel[i].eq(column),
            ]
        return m
