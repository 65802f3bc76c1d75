"""Grad: gradients of membrane potentials, and the vector operations beside it."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In

from backspike.hw.arith.add import FloatAdd
from backspike.hw.arith.compare import FloatCompare
from backspike.hw.arith.fixed import RoundFixed
from backspike.hw.arith.format import Float
from backspike.hw.arith.multiply import FloatMultiply
from backspike.hw.component import Parameter
from backspike.hw.isa.neuron.command import Source
from backspike.hw.isa.neuron.kinds import GRAD
from backspike.hw.neuron.element import ElementEngine
from backspike.hw.neuron.lane import Delays, ElementLane

__all__ = ["GradEngine", "GradLane"]


class GradLane(ElementLane):
    """Channels of grad in turn, with two multipliers, two adders and three comparators. ::

        conv_bp[t] = RN(psum * 2**product_lsb)
        s[t]       = u[t] >= th_f
        fire[t]    = th_l <= u[t] <= th_r
        p          = t_acc ? RN(alpha * du[t+1]) : +0
        q          = t_acc ? RN(p * u[t]) : +0
        ds[t]      = RN((chosen ? conv_bp[t] : +0) - q)
        du[t]      = RN((s[t] ? +0 : p) + (fire[t] ? ds[t] : +0))

    Of time step t (docs/arithmetic.md). The ports ``u``, ``du`` and ``bit_in`` take u[t], du[t+1]
    and the pooled spike; ``value`` and ``bit_out`` give du[t] and fire[t]. ``chosen`` is the
    pooling rule: of the pixels of a window that lies in the map entirely, the first with s = 1, or,
    where the pooled spike is 0, the first. What enters belongs to one of ``channels`` after the
    other, again and again.

    Statuses of reading a psum are those of a whole window.

    Parameters
    ----------
    format : Float
        Storage format.
    channels : int
        Channels that take turns, at least 1.

    Members
    -------
    du : In(format.width), bit_in : In(1)
    enter, opens, whole : In(1)
        There are operands in this cycle; the pixel is the first of its window; the window is whole.
        For the others, and vector operations, see :class:`backspike.hw.neuron.lane.ElementLane`.
    """

    KIND = GRAD

    _channels = Parameter[int]()

    def __init__(self, *, format: Float, channels: int):
        super().__init__(
            format=format,
            operands={
                "du": In(format.width),
                "bit_in": In(1),
                "enter": In(1),
                "opens": In(1),
                "whole": In(1),
            },
            parameters={"channels": channels},
        )

    @classmethod
    def latency_of(cls, *, format: Float, channels: int) -> int:
        round_ = RoundFixed.latency_of(**cls.psum_rounding(format))
        multiply = FloatMultiply.latency_of(format=format)
        return max(round_, multiply) + multiply + 2 * FloatAdd.latency_of(format=format) + 4

    def elaborate(self, platform):
        m = Module()
        m.submodules.round = round_ = RoundFixed(**self.psum_rounding(self._format))
        m.submodules.decay = decay = FloatMultiply(format=self._format)
        m.submodules.multiply = multiply = FloatMultiply(format=self._format)
        m.submodules.subtract = subtract = FloatAdd(format=self._format)
        m.submodules.add = add = FloatAdd(format=self._format)
        pipe = Delays()
        for signal in (self.u, self.bit_in, self.enter, self.opens, self.whole):
            pipe.made(signal, 0)
        for signal in (round_.o, round_.overflow, round_.invalid):
            pipe.made(signal, round_.latency)
        for signal in (decay.o, decay.overflow):
            pipe.made(signal, decay.latency)

        now = max(round_.latency, decay.latency)
        x, y, other, minuend = self._read(m, pipe, now)

        # Comparisons, and who of the window gets the gradient.
        now += 1
        s, fire = self._compare(m, pipe, x, now)
        chosen = self._choose(m, pipe, s, now + 1)
        m.d.comb += [multiply.a.eq(x), multiply.b.eq(y)]

        now += multiply.latency
        pipe.made(multiply.overflow, now)
        first, subtrahend = self._difference(m, pipe, chosen, minuend, other, now)

        now += 1
        m.d.comb += [subtract.a.eq(first), subtract.b.eq(subtrahend)]
        now += subtract.latency
        carried, ds = self._sum(m, pipe, s, fire, other, now)
        overflow, invalid = self._statuses(m, pipe, s, fire, now)

        now += 1
        m.d.comb += [add.a.eq(carried), add.b.eq(ds)]
        now += add.latency
        m.d.sync += [
            self.value.eq(add.o),
            self.bit_out.eq(pipe.at(fire, now)),
            self.overflow.eq(add.overflow | pipe.at(overflow, now)),
            self.invalid.eq(add.invalid & ~self.control.compare | pipe.at(invalid, now)),
        ]
        pipe.build(m)
        return m

    def _read(self, m: Module, pipe: Delays, now: int):
        """x, y, what is added last and what is subtracted from, in the cycle after ``now``."""
        control, round_, decay = self.control, m.submodules.round, m.submodules.decay
        # du comes through the first multiplier, by 1.0 in a vector operation.
        m.d.comb += [
            round_.i.eq(self.psum),
            decay.a.eq(self.du),
            decay.b.eq(control.alpha),
        ]
        conv = pipe.at(round_.o, now)
        x, y = self._operands(
            m,
            {
                Source.CONV: conv,
                Source.U: pipe.at(self.u, now),
                Source.BITS: Mux(pipe.at(self.bit_in, now), self._format.one, 0),
                Source.SCALAR: control.scalar,
                Source.DU: Mux(control.t_acc, pipe.at(decay.o, now), 0),
            },
        )
        # In a step, x is u and y is p; the minuend is conv. Else it is x, and y is added to it.
        other = self._addend(m, "other", y, y)
        minuend = Mux(control.step, conv, x)
        return (
            pipe.register("x", x, now),
            pipe.register("y", y, now),
            pipe.register("other", other, now),
            pipe.register("minuend", minuend, now),
        )

    def _difference(self, m: Module, pipe: Delays, chosen, minuend, other, now: int):
        """What the product is subtracted from, and the subtrahend, in the cycle after ``now``.

        In a vector operation the product itself, or x, and what is added to it.
        """
        control, width = self.control, self._format.width
        product, minus_zero = m.submodules.multiply.o, self._format.minus_zero
        subtrahend = Signal(width)
        first = Signal(width)
        with m.If(~control.step):
            m.d.comb += [
                first.eq(Mux(control.multiply, product, pipe.at(minuend, now))),
                subtrahend.eq(pipe.at(other, now)),
            ]
        with m.Else():
            m.d.comb += [
                first.eq(Mux(pipe.at(chosen, now), pipe.at(minuend, now), 0)),
                subtrahend.eq(Mux(control.t_acc, product ^ minus_zero, minus_zero)),
            ]
        return pipe.register("first", first, now), pipe.register("subtrahend", subtrahend, now)

    def _sum(self, m: Module, pipe: Delays, s, fire, other, now: int):
        """The carried term and ds as they are added, in the cycle after ``now``."""
        control, width = self.control, self._format.width
        difference = m.submodules.subtract.o
        carried = Signal(width)
        ds = Signal(width)
        with m.If(~control.step):
            m.d.comb += [carried.eq(self._format.minus_zero), ds.eq(difference)]
        with m.Else():
            m.d.comb += [
                carried.eq(Mux(pipe.at(s, now), 0, pipe.at(other, now))),
                ds.eq(Mux(pipe.at(fire, now), difference, 0)),
            ]
        return pipe.register("carried", carried, now), pipe.register("ds", ds, now)

    def _statuses(self, m: Module, pipe: Delays, s, fire, now: int):
        """Overflow and invalid of all units but the last adder, in the cycle after ``now``.

        They are gathered as late as what they depend on allows, in one bit each.
        """
        control, units = self.control, m.submodules
        used_p = control.step & control.t_acc & (~pipe.at(s, now) | pipe.at(fire, now))
        used_q = Mux(control.step, control.t_acc & pipe.at(fire, now), control.multiply)
        used_ds = ~control.step | pipe.at(fire, now)
        reads = control.reads_psum & pipe.at(self.whole, now)
        overflow = pipe.register(
            "overflow_before",
            (pipe.at(units.decay.overflow, now) & used_p)
            | (pipe.at(units.multiply.overflow, now) & used_q)
            | (units.subtract.overflow & used_ds)
            | (pipe.at(units.round.overflow, now) & reads),
            now,
        )
        invalid = pipe.register("invalid_before", pipe.at(units.round.invalid, now) & reads, now)
        return overflow, invalid

    def _compare(self, m: Module, pipe: Delays, x, now: int):
        """Spike, and surrogate derivative or result of COMPARE, in the cycle after ``now``."""
        control = self.control
        comparisons = {}
        for name, a, b in (
            ("spikes", control.th_f, x),
            ("above", control.low, x),
            ("below", x, control.high),
        ):
            unit = FloatCompare(format=self._format)
            m.submodules[name] = unit
            m.d.comb += [unit.a.eq(a), unit.b.eq(b)]
            comparisons[name] = unit.le
        s = pipe.register("s", comparisons["spikes"], now)
        fire = pipe.register("fire", comparisons["above"] & comparisons["below"], now)
        return s, fire

    def _choose(self, m: Module, pipe: Delays, s, now: int):
        """Whether the pixel gets the gradient of its window, in the cycle after ``now``."""
        opens = pipe.at(self.opens, now)
        found = Signal(self._channels)  # of the window so far, the channel whose turn it is lowest
        found_before = Signal()
        s = pipe.at(s, now)
        m.d.comb += found_before.eq(found[0] & ~opens)
        with m.If(pipe.at(self.enter, now)):
            m.d.sync += found.eq(Cat(found[1:], found_before | s))
        first = Mux(pipe.at(self.bit_in, now), s & ~found_before, opens)
        return pipe.register("chosen", first & pipe.at(self.whole, now), now)


class GradEngine(ElementEngine):
    """Grad over [sample, tile, y, x] of a time step, and the vector operations of the BP sub-core.

    A step reads psums (one a window), u of this step, du of the step after, and with pooling the
    pooled spikes; it writes du. Throughput is ``pipeline_lanes`` channels of a pixel a cycle.

    Parameters, Members: see :class:`backspike.hw.neuron.element.ElementEngine`; memories ``conv``,
    ``du``, ``s`` (read and write) and ``u`` (read).
    """

    LANE = GradLane

    @staticmethod
    def lane_parameters(format: Float, channels: int) -> dict[str, Any]:
        return {"format": format, "channels": channels}
