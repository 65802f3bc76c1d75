"""Soma: membrane potentials, spikes and max-pooling, and the vector operations beside it."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hw.arith.add import FloatAdd
from hw.arith.compare import FloatCompare
from hw.arith.fixed import RoundFixed
from hw.arith.format import Float
from hw.arith.multiply import FloatMultiply
from hw.component import EmitOnce
from hw.limits import PLANE_BITS
from hw.neuron.command import Source
from hw.neuron.element import ElementEngine
from hw.neuron.lane import Delays, lane_control, minus_zero, one
from hw.neuron.operands import SOMA

__all__ = ["SomaEngine", "SomaLane"]


class SomaLane(EmitOnce):
    """One channel of soma, with one multiplier, one adder and two comparators. ::

        conv16  = RN(psum * 2**(lsb - scale))
        carried = t_acc and not bit_in ? RN(alpha * u) : +0
        value   = RN(carried + conv16)
        bit_out = value >= th_f

    A vector operation is RN(x + y), RN(x - y) or RN(x * y) of two of conv16, u, bit_in and scalar,
    or ``bit_out = low <= x <= high``. Throughput is one a cycle; results come ``latency`` cycles
    after their operands.

    Statuses: reading a psum sets ``overflow`` or ``invalid``; an operation sets them if its result
    is used; what is deselected, and a comparison, sets none.

    Parameters
    ----------
    format : Float
        Storage format.

    Members
    -------
    control : In(lane_control)
    psum : In(signed(format.psum_bits)), u : In(format.width), bit_in : In(1)
    value : Out(format.width), bit_out : Out(1), overflow, invalid : Out(1)
    """

    def __init__(self, *, format: Float):
        self._format = format
        super().__init__(
            {
                "control": In(lane_control(format)),
                "psum": In(signed(format.psum_bits)),
                "u": In(format.width),
                "bit_in": In(1),
                "value": Out(format.width),
                "bit_out": Out(1),
                "overflow": Out(1),
                "invalid": Out(1),
            },
            format=format,
        )

    @cached_property
    def _units(self):
        """Made when first needed: a lane that becomes an instance of another's module has none."""
        format = self._format
        return SimpleNamespace(
            round=RoundFixed(
                width=format.psum_bits, lsb=format.lsb, format=format, scale_bits=PLANE_BITS
            ),
            multiply=FloatMultiply(format=format),
            add=FloatAdd(format=format),
        )

    @property
    def latency(self) -> int:
        """Cycles from operands to results."""
        units = self._units
        return units.round.latency + units.multiply.latency + units.add.latency + 3

    def elaborate(self, platform):
        m = Module()
        m.submodules.round = round_ = self._units.round
        m.submodules.multiply = multiply = self._units.multiply
        m.submodules.add = add = self._units.add
        m.submodules.low = low = FloatCompare(format=self._format)
        m.submodules.high = high = FloatCompare(format=self._format)
        control, width = self.control, self._format.width
        pipe = Delays()
        pipe.made(self.u, 0)
        pipe.made(self.bit_in, 0)

        # Operands.
        now = round_.latency
        m.d.comb += [round_.i.eq(self.psum), round_.scale.eq(control.scale)]
        u, bit = pipe.at(self.u, now), pipe.at(self.bit_in, now)
        operands = []
        for name, source in (("x", control.x), ("y", control.y)):
            operand = Signal(width, name=f"{name}_source")
            with m.Switch(source):
                with m.Case(Source.CONV):
                    m.d.comb += operand.eq(round_.o)
                with m.Case(Source.U):
                    m.d.comb += operand.eq(u)
                with m.Case(Source.BITS):
                    m.d.comb += operand.eq(Mux(bit, one(self._format), 0))
                with m.Case(Source.SCALAR):
                    m.d.comb += operand.eq(control.scalar)
            operands.append(operand)
        addend = Signal(width)
        with m.If(control.step):
            m.d.comb += addend.eq(round_.o)
        with m.Elif(control.multiply | control.compare):
            m.d.comb += addend.eq(minus_zero(self._format))
        with m.Else():
            m.d.comb += addend.eq(operands[1] ^ (control.subtract << (width - 1)))
        x = pipe.register("x", operands[0], now)
        y = pipe.register("y", operands[1], now)
        addend = pipe.register("addend", addend, now)
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


class SomaEngine(ElementEngine):
    """Soma over [sample, tile, y, x] of a time step, and the vector operations of the FP sub-core.

    A step reads psums, and u and spikes of the step before; it writes u, the spikes, and the spikes
    after max-pooling: the OR of each window that lies in the map entirely. Throughput is
    ``pipeline_lanes`` channels of a pixel a cycle.

    Parameters, Members: see :class:`hw.neuron.element.ElementEngine`; memories ``conv``, ``u``,
    ``spike`` (read and write) and ``s_out`` (write).
    """

    KIND = SOMA

    @staticmethod
    def make_lane(format: Float, channels: int) -> SomaLane:
        return SomaLane(format=format)

    @staticmethod
    def psum_grid(format: Float) -> tuple[int, int]:
        return format.psum_bits, format.lsb
