"""Addresses and lengths of the bursts that rows of words in DRAM are made of."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.dma.axi import DRAM_BITS, LENGTH_BITS
from backspike.hw.isa.dma.command import DmaCommand
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS

__all__ = ["Bursts"]


class Bursts(EmitOnce):
    """Cuts the rows of a command into bursts, and presents them on an address channel.

    A burst lies within an aligned stretch of ``burst_beats`` beats, so it crosses no 4 KB boundary.
    Throughput is one burst a cycle, also across rows; the first is presented three cycles after
    ``start``.

    Parameters
    ----------
    widths : tuple of int
        Bits of a word of each SRAM, by its number: powers of two.
    bus_bits : int
        Bits of a beat, a power of two.
    burst_beats : int
        Beats of the longest burst: a power of two, no more than 4 KB of them.

    Members
    -------
    start : In(1), command : In(DmaCommand), origin : In(40)
        Held from ``start`` on; ``origin`` is a multiple of a beat's bytes.
    may : In(1), stop : In(1)
        Another burst may be presented; none any more, or not yet. ``may`` depends on no ready of a
        bus.
    asks : Out(1), beats : Out(8), ends : Out(1)
        A burst goes to the address channel, where it is presented from the next cycle on: its beats
        less 1, and whether it is the last one of its row.
    idle : Out(1)
        No burst is left that has not gone there.
    valid : Out(1), ready : In(1), address : Out(40), length : Out(8)
        The address channel, without what is always the same.
    """

    _widths = Parameter[tuple[int, ...]]()
    _bus_bits = Parameter[int]()

    def __init__(self, *, widths: tuple[int, ...], bus_bits: int, burst_beats: int):
        self._burst_bits = exact_log2(burst_beats)
        super().__init__(
            {
                "start": In(1),
                "command": In(DmaCommand),
                "origin": In(DRAM_BITS),
                "may": In(1),
                "stop": In(1),
                "asks": Out(1),
                "beats": Out(LENGTH_BITS),
                "ends": Out(1),
                "idle": Out(1),
                "valid": Out(1),
                "ready": In(1),
                "address": Out(DRAM_BITS),
                "length": Out(LENGTH_BITS),
            },
            widths=widths,
            bus_bits=bus_bits,
            burst_beats=burst_beats,
        )

    def elaborate(self, platform):
        m = Module()
        low, burst = exact_log2(self._bus_bits // 8), self._burst_bits
        # Addresses count beats from here on.
        row = Signal(len(self.command.dram) - low)  # where the next row begins, from the origin
        place = Signal(DRAM_BITS - low)  # where the next burst begins
        rows = Signal(COUNT_BITS)  # that were begun
        going = Signal()  # part of a row is left: so many beats, less 1
        beats = self._beats_of_row(m)
        left = Signal.like(beats)

        room = Signal(burst + 1)
        loads, row_over = Signal(), Signal()
        m.d.comb += [
            room.eq(~place[:burst] if burst else 0),
            self.ends.eq(left <= room),
            self.beats.eq(Mux(self.ends, left, room)[: burst + 1]),
            self.asks.eq(going & self.may & ~self.stop & (~self.valid | self.ready)),
            row_over.eq(self.asks & self.ends),
            loads.eq((~going | row_over) & (rows != self.command.rows) & ~self.stop),
            self.idle.eq(~going & ((rows == self.command.rows) | self.stop)),
        ]
        with m.If(self.start):
            m.d.sync += [row.eq(self.command.dram[low:]), rows.eq(0), going.eq(0)]
        with m.Elif(loads):
            m.d.sync += [row.eq(row + self.command.dram_row[low:]), rows.eq(rows + 1), going.eq(1)]
        with m.Elif(row_over | self.stop):
            m.d.sync += going.eq(0)
        with m.If(loads):
            m.d.sync += [place.eq(self.origin[low:] + row), left.eq(beats)]
        with m.Elif(self.asks):
            m.d.sync += [
                place.eq(Cat(Const(0, burst), place[burst:] + 1)),
                left.eq(left - room - 1),
            ]

        with m.If(self.asks):
            m.d.sync += [
                self.valid.eq(1),
                self.address.eq(Cat(Const(0, low), place)),
                self.length.eq(self.beats),
            ]
        with m.Elif(self.ready):
            m.d.sync += self.valid.eq(0)
        return m

    def _beats_of_row(self, m: Module):
        """Beats of a row, less 1: words and beats are powers of two, so that is only wiring."""
        words = Signal(ADDRESS_BITS)
        m.d.comb += words.eq(self.command.words - 1)
        widest = exact_log2(max(1, max(self._widths) // self._bus_bits))
        beats = Signal(ADDRESS_BITS + widest)
        with m.Switch(self.command.sram):
            for width in dict.fromkeys(self._widths):
                with m.Case(*(at for at, each in enumerate(self._widths) if each == width)):
                    if width < self._bus_bits:
                        m.d.comb += beats.eq(words >> exact_log2(self._bus_bits // width))
                    else:
                        parts = exact_log2(width // self._bus_bits)
                        m.d.comb += beats.eq(Cat(Const((1 << parts) - 1, parts), words))
        return beats
