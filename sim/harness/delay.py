"""What lies between two chips, in simulation: streams that take time, and stall."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Signal
from amaranth.hdl import Shape
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.sim.harness.bench import STALL_BITS, Staller

__all__ = ["DELAY_BITS", "Delay"]

DELAY_BITS = 8
"""Bits of a delay, and of the clock it is measured by."""
PLACES = 64


class Delay(EmitOnce):
    """Passes on a stream, in order.

    Parameters
    ----------
    shape
        Of the payload.

    Members
    -------
    i : In(stream), o : Out(stream)
    delay : In(8)
        Cycles from the one side to the other, from 2 to 127, if nothing is in the way.
    stall : In(8), seed : In(16)
        The output waits at random with probability ``stall`` / 256; see
        :class:`backspike.sim.harness.bench.Staller`.
    """

    _shape = Parameter[Any]()

    def __init__(self, shape: Any):
        payload = stream.Signature(shape)
        super().__init__(
            {
                "i": In(payload),
                "o": Out(payload),
                "delay": In(DELAY_BITS),
                "stall": In(STALL_BITS),
                "seed": In(16),
            },
            shape=shape,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = Shape.cast(self._shape).width
        m.submodules.queue = queue = SyncFIFO(width=width + DELAY_BITS, depth=PLACES)
        m.submodules.staller = staller = Staller()
        now, left = Signal(DELAY_BITS), Signal(DELAY_BITS)
        goes = Signal()
        run = Signal()  # low in the first cycle, which is when the seed is taken
        m.d.sync += [now.eq(now + 1), run.eq(1)]
        m.d.comb += [
            staller.seed.eq(self.seed),
            staller.run.eq(run),
            staller.stall.eq(self.stall),
            self.i.ready.eq(queue.w_rdy),
            queue.w_en.eq(self.i.valid),
            queue.w_data[:DELAY_BITS].eq(now + self.delay - 1),
            queue.w_data[DELAY_BITS:].eq(self.i.payload),
            left.eq(now - queue.r_data[:DELAY_BITS]),
            goes.eq(queue.r_rdy & ~left[-1] & staller.ready & (~self.o.valid | self.o.ready)),
            queue.r_en.eq(goes),
        ]
        with m.If(goes):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(queue.r_data[DELAY_BITS:])]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
