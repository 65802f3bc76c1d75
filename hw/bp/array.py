"""The BP array: rows of multipliers and exact adder trees, one row an input channel."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.bp.row import BpRow, factor_layout, operand_of
from backspike.hw.conv.array import ConvArray
from backspike.hw.isa.conv.shape import EngineShape

__all__ = ["BpArray"]


class BpArray(ConvArray):
    """The array of :class:`backspike.hw.bp.engine.BpEngine`.

    Tiles are stored as for FP, a word per output channel of the layer; here that word goes down a
    column, so that the array multiplies by the transposed tile.

    Parameters
    ----------
    shape : EngineShape

    Members
    -------
    take : In(1), step_slot : In
        Of a step; ``take`` is low if it is there only to end a pixel.
    du : In(lanes x format.width)
        The du of the step.
    overflow : Out(1)
        A product was too large.
    taking : Out(lanes)
        Lanes of du that take part in the step; for the counters.
        For the others see :class:`backspike.hw.conv.array.ConvArray`.
    """

    def __init__(self, shape: EngineShape):
        super().__init__(
            shape,
            step={"take": In(1), "step_slot": In(ceil_log2(shape.ring_depth))},
            operands={"du": In(data.ArrayLayout(shape.format.width, shape.lanes))},
            results={"overflow": Out(1), "taking": Out(shape.lanes)},
            fire_lanes=shape.lanes,
        )

    @property
    def latency(self) -> int:
        """Cycles from a step to its psum."""
        return BpRow.latency_of(self._lanes)

    def elaborate(self, platform):
        m = Module()
        lanes, format = self._lanes, self._format
        operand = factor_layout(format)

        weights = Signal(data.ArrayLayout(operand, lanes * self._weight_words))
        load, load_slot, load_part = self._load(m)
        with m.If(self.write):
            for i in range(lanes * self._weight_words):
                m.d.sync += weights[i].eq(operand_of(m, format, self.rows[i], f"row_value_{i}"))
        # A column's weights are read at the same slot in all rows, so that one memory keeps them.
        columns = []
        for lane in range(lanes):
            m.submodules[f"weights_{lane}"] = column = Memory(
                shape=data.ArrayLayout(operand, lanes), depth=self._ring_depth, init=[]
            )
            part, word = divmod(lane, self._weight_words)
            write, read = column.write_port(), column.read_port(domain="comb")
            m.d.comb += [
                write.en.eq(load & (load_part == part)),
                write.addr.eq(load_slot),
                read.addr.eq(self.step_slot),
            ]
            for channel in range(lanes):
                m.d.comb += write.data[channel].eq(weights[word * lanes + channel])
            columns.append(read.data)

        # A du of +0 or -0 takes no part.
        du = [operand_of(m, format, self.du[lane], f"du_{lane}") for lane in range(lanes)]
        for lane in range(lanes):
            m.d.comb += self.taking[lane].eq(
                self.valid & self.take & self.du[lane][: format.width - 1].any()
            )

        control = self._control(m)

        special, overflow = Signal(lanes), Signal(lanes)
        psum_bits = format.product_psum_bits
        for channel in range(lanes):
            m.submodules[f"row_{channel}"] = row = BpRow(format=format, lanes=lanes)
            m.d.comb += [
                row.take.eq(Mux(self.pixel.fire[channel], self.taking, 0)),
                row.accumulate.eq(control.adds),
                row.first.eq(control.adds_first),
                row.read.eq(control.adds_read),
                row.old.eq(self.old[channel][:psum_bits]),
                special[channel].eq(row.special),
                overflow[channel].eq(row.overflow),
                self.new[channel].eq(row.psum),
            ]
            for lane in range(lanes):
                m.d.comb += [
                    row.du[lane].eq(du[lane]),
                    row.weights[lane].eq(columns[lane][channel]),
                ]
        m.d.comb += [
            self.invalid.eq(control.adds & special.any()),
            self.overflow.eq(control.adds & overflow.any()),
        ]
        return m
