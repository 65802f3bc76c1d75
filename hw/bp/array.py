"""The BP array: rows of multipliers and exact adder trees, one row an input channel."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.arith.format import PSUM_BITS, Float
from hw.bp.row import BpRow, Operand, operand_of
from hw.component import EmitOnce
from hw.conv.control import StepControl
from hw.conv.front import Pixel
from hw.conv.weights import part_bits

__all__ = ["BpArray"]


class BpArray(EmitOnce):
    """Lanes x lanes PEs, each with ``depth`` weights; takes a step a cycle and never waits.

    Tiles are stored as for FP, a word per output channel of the layer; here that word goes down a
    column, so that the array multiplies by the transposed tile.

    Parameters
    ----------
    format, lanes, depth, weight_words
        As of :class:`hw.fp.array.FpArray`.

    Members
    -------
    write, slot, part, rows : In
        From :class:`hw.conv.weights.WeightLoader`.
    valid : In(1), take : In(1), step_slot, first, last, pixel : In
        A step; ``take`` is low if it is there only to end a pixel.
    du : In(lanes x format.width)
        The du of the step.
    pop : Out(1), old : In(lanes x 64)
    push : Out(1), push_addr : Out(16), new : Out(lanes x 64)
        To :class:`hw.conv.psums.PsumAccess`.
    invalid, overflow : Out(1)
        A NaN or infinity took part; a product was too large.
    taking : Out(lanes)
        Lanes of du that take part in the step; for the counters.
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
                "take": In(1),
                "step_slot": In(slot_bits),
                "first": In(1),
                "last": In(1),
                "pixel": In(Pixel(lanes)),
                "du": In(data.ArrayLayout(format.width, lanes)),
                "pop": Out(1),
                "old": In(data.ArrayLayout(PSUM_BITS, lanes)),
                "push": Out(1),
                "push_addr": Out(16),
                "new": Out(data.ArrayLayout(PSUM_BITS, lanes)),
                "invalid": Out(1),
                "overflow": Out(1),
                "taking": Out(lanes),
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
        return BpRow.latency_of(self._lanes)

    def elaborate(self, platform):
        m = Module()
        lanes, format = self._lanes, self._format
        operand = Operand(format)

        weights = Signal(data.ArrayLayout(operand, lanes * self._weight_words))
        load, load_slot, load_part = Signal(), Signal.like(self.slot), Signal.like(self.part)
        m.d.sync += [load.eq(self.write), load_slot.eq(self.slot), load_part.eq(self.part)]
        with m.If(self.write):
            for i in range(lanes * self._weight_words):
                m.d.sync += weights[i].eq(operand_of(m, format, self.rows[i], f"row_value_{i}"))
        loads = Signal(lanes)
        for lane in range(lanes):
            m.d.comb += loads[lane].eq(load & (load_part == lane // self._weight_words))

        # A du of +0 or -0 takes no part.
        du = [operand_of(m, format, self.du[lane], f"du_{lane}") for lane in range(lanes)]
        for lane in range(lanes):
            m.d.comb += self.taking[lane].eq(
                self.valid & self.take & self.du[lane][: format.width - 1].any()
            )

        m.submodules.control = control = StepControl(latency=self.latency, fire_lanes=lanes)
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

        special, overflow = Signal(lanes), Signal(lanes)
        psum_bits = format.product_psum_bits
        for channel in range(lanes):
            m.submodules[f"row_{channel}"] = row = BpRow(
                format=format, lanes=lanes, depth=self._depth, weight_words=self._weight_words
            )
            m.d.comb += [
                row.load.eq(loads),
                row.load_slot.eq(load_slot),
                row.take.eq(Mux(self.pixel.fire[channel], self.taking, 0)),
                row.slot.eq(self.step_slot),
                row.accumulate.eq(control.adds),
                row.first.eq(control.adds_first),
                row.read.eq(control.adds_read),
                row.old.eq(self.old[channel][:psum_bits]),
                special[channel].eq(row.special),
                overflow[channel].eq(row.overflow),
                self.new[channel].eq(row.psum),
            ]
            for lane in range(lanes):
                m.d.comb += row.du[lane].eq(du[lane])
            for word in range(self._weight_words):
                m.d.comb += row.load_weights[word].eq(weights[word * lanes + channel])
        m.d.comb += [
            self.invalid.eq(control.adds & special.any()),
            self.overflow.eq(control.adds & overflow.any()),
        ]
        return m
