"""Records in simulation which units were at work when, without any Python in each cycle."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter

__all__ = ["TIME_BITS", "Recorder"]

TIME_BITS = 40
"""Bits of a word that hold the cycle; above them is what was watched."""


class Recorder(EmitOnce):
    """Writes down each value that ``watch`` takes, with the cycle from which it has it.

    A testbench finds the record as ``words`` in the instance of this component: 64 bits each,
    the cycle in the lower :data:`TIME_BITS`. The value 0 in cycle 0 is not written down.

    Parameters
    ----------
    width : int
        Bits of ``watch``, up to 24.
    depth : int
        Changes that it has room for, a power of two; those beyond are lost.

    Members
    -------
    watch : In(width)
    run : In(1)
        Cycles count from the first one in which it is high; while it is low, all is forgotten.
    count : Out(log2(depth) + 1)
        Words written: ``depth`` if some may be lost.
    """

    _width = Parameter[int]()
    _depth = Parameter[int]()

    def __init__(self, *, width: int, depth: int):
        if not 1 <= width <= 64 - TIME_BITS:
            raise ValueError(f"Recorder width must be 1 to {64 - TIME_BITS}, not {width}")
        super().__init__(
            {
                "watch": In(width),
                "run": In(1),
                "count": Out(ceil_log2(depth) + 1),
            },
            width=width,
            depth=depth,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.words = words = Memory(shape=64, depth=self._depth, init=[])
        port = words.write_port()
        now = Signal(TIME_BITS)
        before = Signal(self._width)
        m.d.comb += [
            port.en.eq(self.run & (self.watch != before) & (self.count != self._depth)),
            port.addr.eq(self.count),
            port.data[:TIME_BITS].eq(now),
            port.data[TIME_BITS:].eq(self.watch),
        ]
        with m.If(self.run):
            m.d.sync += [
                now.eq(now + 1),
                before.eq(self.watch),
                self.count.eq(self.count + port.en),
            ]
        with m.Else():
            m.d.sync += [now.eq(0), before.eq(0), self.count.eq(0)]
        return m
