"""Soma: membrane potentials, spikes and max-pooling, and the vector operations beside it."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In

from backspike.hw.arith.add import FloatAdd
from backspike.hw.arith.compare import FloatCompare
from backspike.hw.arith.fixed import RoundFixed
from backspike.hw.arith.format import Float
from backspike.hw.arith.multiply import FloatMultiply
from backspike.hw.isa.neuron.command import Source
from backspike.hw.isa.neuron.kinds import SOMA
from backspike.hw.neuron.element import ElementEngine
from backspike.hw.neuron.lane import Delays, ElementLane

__all__ = ["SomaEngine", "SomaLane"]


class SomaLane(ElementLane):
    """One channel of soma, with one multiplier, one adder and two comparators. ::

        conv_fp[t] = RN(psum * 2**(lsb - scale))
        carried    = t_acc and not s[t-1] ? RN(alpha * u[t-1]) : +0
        u[t]       = RN(carried + conv_fp[t])
        s[t]       = u[t] >= th_f

    Of time step t (docs/arithmetic.md). The ports ``u`` and ``bit_in`` take u[t-1] and s[t-1];
    ``value`` and ``bit_out`` give u[t] and s[t].

    Parameters
    ----------
    format : Float
        Storage format.

    Members
    -------
    bit_in : In(1)
        For the others, and vector operations, see :class:`backspike.hw.neuron.lane.ElementLane`.
    """

    KIND = SOMA

    def __init__(self, *, format: Float):
        super().__init__(format=format, operands={"bit_in": In(1)})

    @classmethod
    def latency_of(cls, *, format: Float) -> int:
        round_ = RoundFixed.latency_of(**cls.psum_rounding(format))
        multiply = FloatMultiply.latency_of(format=format)
        return round_ + multiply + FloatAdd.latency_of(format=format) + 3

    def elaborate(self, platform):
        m = Module()
        m.submodules.round = round_ = RoundFixed(**self.psum_rounding(self._format))
        m.submodules.multiply = multiply = FloatMultiply(format=self._format)
        m.submodules.add = add = FloatAdd(format=self._format)
        m.submodules.low = low = FloatCompare(format=self._format)
        m.submodules.high = high = FloatCompare(format=self._format)
        control, width = self.control, self._format.width
        pipe = Delays()
        pipe.made(self.u, 0)
        pipe.made(self.bit_in, 0)

        now = round_.latency
        x, y, addend = self._read(m, pipe, now)
        reads = control.reads_psum
        psum_overflow = pipe.register("psum_overflow", round_.overflow & reads, now)
        psum_invalid = pipe.register("psum_invalid", round_.invalid & reads, now)

        # Product, and what it is added to.
        now += 1
        m.d.comb += [multiply.a.eq(x), multiply.b.eq(y)]
        now += multiply.latency
        carried = control.t_acc & ~pipe.at(self.bit_in, now)
        product_used = Mux(control.step, carried, control.multiply)
        augend = Signal(width)
        with m.If(product_used):
            m.d.comb += augend.eq(multiply.o)
        with m.Elif(~control.step):
            m.d.comb += augend.eq(pipe.at(x, now))
        augend = pipe.register("augend", augend, now)
        product_overflow = pipe.register(
            "product_overflow",
            multiply.overflow & product_used | pipe.at(psum_overflow, now),
            now,
        )

        # Sum and comparison.
        now += 1
        m.d.comb += [add.a.eq(augend), add.b.eq(pipe.at(addend, now))]
        now += add.latency
        m.d.comb += [
            low.a.eq(control.low),
            low.b.eq(add.o),
            high.a.eq(add.o),
            high.b.eq(control.high),
        ]
        m.d.sync += [
            self.value.eq(add.o),
            self.bit_out.eq(low.le & (high.le | control.step)),
            self.overflow.eq(add.overflow | pipe.at(product_overflow, now)),
            self.invalid.eq(add.invalid & ~control.compare | pipe.at(psum_invalid, now)),
        ]
        pipe.build(m)
        return m

    def _read(self, m: Module, pipe: Delays, now: int):
        """x, y, and what x or their product is added to, in the cycle after ``now``."""
        control, round_ = self.control, m.submodules.round
        m.d.comb += [round_.i.eq(self.psum), round_.scale.eq(control.scale)]
        u, bit = pipe.at(self.u, now), pipe.at(self.bit_in, now)
        x, y = self._operands(
            m,
            {
                Source.CONV: round_.o,
                Source.U: u,
                Source.BITS: Mux(bit, self._format.one, 0),
                Source.SCALAR: control.scalar,
            },
        )
        addend = self._addend(m, "addend", round_.o, y)
        return (
            pipe.register("x", x, now),
            pipe.register("y", y, now),
            pipe.register("addend", addend, now),
        )


class SomaEngine(ElementEngine):
    """Soma over [sample, tile, y, x] of a time step, and the vector operations of the FP sub-core.

    A step reads psums, and u and spikes of the step before; it writes u, the spikes, and the spikes
    after max-pooling: the OR of each window that lies in the map entirely. Throughput is
    ``pipeline_lanes`` channels of a pixel a cycle.

    Parameters, Members: see :class:`backspike.hw.neuron.element.ElementEngine`; memories ``conv``,
    ``u``, ``spike`` (read and write) and ``s_out`` (write).
    """

    LANE = SomaLane

    @staticmethod
    def lane_parameters(format: Float, channels: int) -> dict[str, Any]:
        return {"format": format}
