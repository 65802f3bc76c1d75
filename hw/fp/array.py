"""The FP array: rows of selectors and exact adder trees, one row an output channel."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.arith.fixed import ToFixed
from hw.arith.format import PSUM_BITS, Float
from hw.component import EmitOnce
from hw.conv.control import StepControl
from hw.conv.front import Pixel
from hw.conv.weights import part_bits
from hw.fp.row import FpRow
from hw.limits import PLANE_BITS

__all__ = ["FpArray"]


class FpArray(EmitOnce):
    """Lanes x lanes PEs, each with ``depth`` weights; takes a step a cycle and never waits.

    Weights are put on the fixed-point grid once, when they are loaded. The old psums of a pixel are
    taken (``pop``) and its new ones pushed :attr:`latency` cycles after its first and last step.

    Parameters
    ----------
    format : Float
    lanes : int
    depth : int
        Tiles in the ring.
    weight_words : int
        Rows of a tile loaded in a cycle.

    Members
    -------
    write, slot, part, rows : In
        From :class:`hw.conv.weights.WeightLoader`.
    valid, take, slots, first, last, pixel : In
        A step of :class:`hw.conv.front.ConvFront`.
    shift : In(4)
        Held during a command.
    pop : Out(1), old : In(lanes x 64)
    push : Out(1), push_addr : Out(16), new : Out(lanes x 64)
        To :class:`hw.conv.psums.PsumAccess`.
    invalid : Out(1)
        A NaN or infinity took part.
    empty : Out(1)
        No step is in the pipeline.
    """

    def __init__(self, *, format: Float, lanes: int, depth: int, weight_words: int):
        self._format = format
        self._lanes = lanes
        self._depth = depth
        self._weight_words = weight_words
        slot_bits = ceil_log2(depth)
        super().__init__(
            {
                "write": In(1),
                "slot": In(slot_bits),
                "part": In(part_bits(lanes, weight_words)),
                "rows": In(data.ArrayLayout(format.width, lanes * weight_words)),
                "valid": In(1),
                "take": In(lanes),
                "slots": In(data.ArrayLayout(slot_bits, lanes)),
                "first": In(1),
                "last": In(1),
                "pixel": In(Pixel(0)),
                "shift": In(PLANE_BITS),
                "pop": Out(1),
                "old": In(data.ArrayLayout(PSUM_BITS, lanes)),
                "push": Out(1),
                "push_addr": Out(16),
                "new": Out(data.ArrayLayout(PSUM_BITS, lanes)),
                "invalid": Out(1),
                "empty": Out(1),
            },
            format=format,
            lanes=lanes,
            depth=depth,
            weight_words=weight_words,
        )

    @property
    def latency(self) -> int:
        """Cycles from a step to its psum."""
        return FpRow.latency_of(self._lanes)

    def elaborate(self, platform):
        m = Module()
        psum_bits = self._format.psum_bits

        converted = Signal(
            data.ArrayLayout(self._format.fixed_bits + 1, self._lanes * self._weight_words)
        )
        load, load_slot, load_part = Signal(), Signal.like(self.slot), Signal.like(self.part)
        m.d.sync += [load.eq(self.write), load_slot.eq(self.slot), load_part.eq(self.part)]
        for i in range(self._lanes * self._weight_words):
            m.submodules[f"to_fixed_{i}"] = to_fixed = ToFixed(format=self._format)
            m.d.comb += to_fixed.i.eq(self.rows[i])
            with m.If(self.write):
                m.d.sync += converted[i].eq(Cat(to_fixed.o, to_fixed.special))

        m.submodules.control = control = StepControl(latency=self.latency, fire_lanes=0)
        m.d.comb += [
            control.valid.eq(self.valid),
            control.first.eq(self.first),
            control.last.eq(self.last),
            control.pixel.eq(self.pixel),
            self.pop.eq(control.pop),
            self.push.eq(control.push),
            self.push_addr.eq(control.push_addr),
            self.empty.eq(control.empty),
        ]

        special = Signal(self._lanes)
        for channel in range(self._lanes):
            m.submodules[f"row_{channel}"] = row = FpRow(
                format=self._format, lanes=self._lanes, depth=self._depth
            )
            part, place = divmod(channel, self._weight_words)
            first = place * self._lanes
            m.d.comb += [
                row.load.eq(load & (load_part == part)),
                row.load_slot.eq(load_slot),
                row.take.eq(Mux(self.valid, self.take, 0)),
                row.slots.eq(self.slots),
                row.shift.eq(self.shift),
                row.accumulate.eq(control.adds),
                row.first.eq(control.adds_first),
                row.read.eq(control.adds_read),
                row.old.eq(self.old[channel][:psum_bits]),
                special[channel].eq(row.special),
                self.new[channel].eq(row.psum),
            ]
            for lane in range(self._lanes):
                m.d.comb += row.load_weights[lane].eq(converted[first + lane])
        m.d.comb += self.invalid.eq(control.adds & special.any())
        return m
