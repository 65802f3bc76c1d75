"""What is known of a step, on its way beside the data to the accumulators."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.front import Pixel
from backspike.hw.limits import ADDRESS_BITS

__all__ = ["StepControl"]


class StepControl(EmitOnce):
    """Delays a step's control until its sum is there, and says what happens to the psum then.

    Parameters
    ----------
    latency : int
        Cycles from a step to its psum.
    fire_lanes : int
        As of :func:`backspike.hw.conv.front.Pixel`.

    Members
    -------
    valid, first, last : In(1), pixel : In(Pixel)
        A step enters the array.
    adds, adds_first, adds_read : Out(1)
        One cycle before its psum: the accumulator takes the term of a step, the first of a pixel,
        of one that starts from the old psum.
    pop : Out(1)
        Old psums are taken in this cycle.
    push : Out(1), push_addr : Out(ADDRESS_BITS)
        The psums are complete and are written.
    empty : Out(1)
        No step is in the pipeline.
    """

    _latency = Parameter[int]()

    def __init__(self, *, latency: int, fire_lanes: int):
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "pixel": In(Pixel(fire_lanes)),
                "adds": Out(1),
                "adds_first": Out(1),
                "adds_read": Out(1),
                "pop": Out(1),
                "push": Out(1),
                "push_addr": Out(ADDRESS_BITS),
                "empty": Out(1),
            },
            latency=latency,
            fire_lanes=fire_lanes,
        )

    def elaborate(self, platform):
        m = Module()
        control = data.StructLayout(
            {"valid": 1, "first": 1, "last": 1, "read": 1, "write": 1, "addr": ADDRESS_BITS}
        )
        stages = [Signal(control, name=f"stage_{i}") for i in range(self._latency + 1)]
        m.d.comb += [
            stages[0].valid.eq(self.valid),
            stages[0].first.eq(self.first),
            stages[0].last.eq(self.last),
            stages[0].read.eq(self.pixel.read),
            stages[0].write.eq(self.pixel.write),
            stages[0].addr.eq(self.pixel.addr),
        ]
        for before, after in pairwise(stages):
            m.d.sync += after.eq(before)
        adding, done = stages[-2], stages[-1]
        m.d.comb += [
            self.adds.eq(adding.valid),
            self.adds_first.eq(adding.first),
            self.adds_read.eq(adding.read),
            self.pop.eq(adding.valid & adding.first & adding.read),
            self.push.eq(done.valid & done.last & done.write),
            self.push_addr.eq(done.addr),
            self.empty.eq(~Cat(stage.valid for stage in stages).any()),
        ]
        return m
