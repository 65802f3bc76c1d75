"""The FP engine: runs a forward convolution from a start command to done."""

from __future__ import annotations

from amaranth import Module, Mux
from amaranth.lib.wiring import connect, flipped

from backspike.hw.conv.engine import ConvEngine
from backspike.hw.fp.array import FpArray
from backspike.hw.isa.conv.shape import EngineShape

__all__ = ["FpEngine"]


class FpEngine(ConvEngine):
    """Forward convolution: psums of conv_fp from spikes (or a bit plane) and weights.

    A pixel of a group takes as many cycles as its busiest lane has spikes under the kernel in that
    group's input tiles; a command takes besides some 15 cycles a group and 30 in all. ``overflow``
    is never set: FP sums cannot overflow.

    Parameters
    ----------
    shape : EngineShape

    Members
    -------
    s_in_read : Out(ReadPort)
        Spikes; for the others see :class:`backspike.hw.conv.engine.ConvEngine`.
    """

    def __init__(self, shape: EngineShape):
        super().__init__(shape, {"s_in_read": shape.pixels * shape.lanes})

    def elaborate(self, platform):
        m = Module()
        array = FpArray(self._shape)
        front, loader = self.assemble(m, array, bits=self._shape.lanes)
        connect(m, front.input, flipped(self.s_in_read))
        step = front.o.payload
        # The last weights of a group are out of the ring two cycles after its walk has ended.
        m.d.sync += loader.release.eq(front.next_group)
        m.d.comb += [
            front.o.ready.eq(1),
            array.valid.eq(front.o.valid),
            array.take.eq(step.take),
            array.slots.eq(step.slots),
            array.first.eq(step.first),
            array.last.eq(step.last),
            array.pixel.eq(step.pixel),
            array.shift.eq(self.command.shift),
        ]
        self.count_steps(
            m,
            front,
            take=Mux(front.o.valid, step.take, 0),
            entering=front.o.valid & step.entry,
        )
        return m
