"""The FP array: rows of selectors and exact adder trees, one row an output channel."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from backspike.hw.arith.fixed import ToFixed
from backspike.hw.conv.array import ConvArray
from backspike.hw.fp.row import FpRow
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.limits import PLANE_BITS

__all__ = ["FpArray"]


class FpArray(ConvArray):
    """The array of :class:`backspike.hw.fp.engine.FpEngine`.

    Weights are put on the fixed-point grid once, when they are loaded.

    Parameters
    ----------
    shape : EngineShape

    Members
    -------
    take, slots : In
        Of a step, as of :class:`backspike.hw.conv.front.ConvFront`.
    shift : In(PLANE_BITS)
        Held during a command. For the others see :class:`backspike.hw.conv.array.ConvArray`.
    """

    def __init__(self, shape: EngineShape):
        slots = data.ArrayLayout(ceil_log2(shape.ring_depth), shape.lanes)
        super().__init__(
            shape,
            step={"take": In(shape.lanes), "slots": In(slots)},
            operands={"shift": In(PLANE_BITS)},
            results={},
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
        load, load_slot, load_part = self._load(m)
        for i in range(self._lanes * self._weight_words):
            m.submodules[f"to_fixed_{i}"] = to_fixed = ToFixed(format=self._format)
            m.d.comb += to_fixed.i.eq(self.rows[i])
            with m.If(self.write):
                m.d.sync += converted[i].eq(Cat(to_fixed.o, to_fixed.special))

        control = self._control(m)

        special = Signal(self._lanes)
        for channel in range(self._lanes):
            m.submodules[f"row_{channel}"] = row = FpRow(
                format=self._format, lanes=self._lanes, ring_depth=self._ring_depth
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
