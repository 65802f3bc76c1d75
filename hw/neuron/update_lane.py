"""The weight update of one weight: eight binary32 units in a row."""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib.wiring import In, Out

from backspike.hw.arith.add import FloatAdd
from backspike.hw.arith.convert import FloatConvert
from backspike.hw.arith.format import BINARY32, Float
from backspike.hw.arith.multiply import FloatMultiply
from backspike.hw.arith.rounding import RoundedUnit
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.neuron.lane import Delays

__all__ = ["UpdateLane"]

INPUTS = ("k", "wd", "mu", "lr", "dw", "w", "v")
MULTIPLIES = ("scale", "decay", "momentum", "rate")
ADDS = ("gradient", "velocity", "descent")


class UpdateLane(EmitOnce):
    """The update of one weight, each operation rounded to binary32. ::

        g = k*dw;  g = g + wd*w;  v = mu*v + g;  w = w - lr*v;  stored = RN(w)

    Throughput is one weight a cycle; results come ``latency`` cycles after their operands.

    Parameters
    ----------
    format : Float
        Storage format.

    Members
    -------
    k, wd, mu, lr : In(BINARY32.width)
        Held while operands are under way.
    dw, w, v : In(BINARY32.width)
    w_out, v_out : Out(BINARY32.width), stored : Out(format.width)
    overflow, invalid : Out(1)
        In one of the operations, finite operands gave an infinity, or the result is NaN.
    """

    _format = Parameter[Float]()

    def __init__(self, *, format: Float):
        super().__init__(
            {
                **dict.fromkeys(INPUTS, In(BINARY32.width)),
                "w_out": Out(BINARY32.width),
                "v_out": Out(BINARY32.width),
                "stored": Out(format.width),
                "overflow": Out(1),
                "invalid": Out(1),
            },
            format=format,
        )

    @property
    def latency(self) -> int:
        """Cycles from operands to results."""
        multiply = FloatMultiply.latency_of(format=BINARY32)
        add = FloatAdd.latency_of(format=BINARY32)
        convert = FloatConvert.latency_of(source=BINARY32, target=self._format)
        return 2 * multiply + 3 * add + convert

    def elaborate(self, platform):
        m = Module()
        units: dict[str, RoundedUnit] = {
            **{name: FloatMultiply(format=BINARY32) for name in MULTIPLIES},
            **{name: FloatAdd(format=BINARY32) for name in ADDS},
            "convert": FloatConvert(source=BINARY32, target=self._format),
        }
        pipe = Delays()
        for name in ("w", "v"):
            pipe.made(getattr(self, name), 0)

        def use(name: str, cycle: int, **inputs) -> int:
            """Gives a unit its inputs in ``cycle``; returns the cycle its result is valid in."""
            unit = units[name]
            m.submodules[name] = unit
            for port, value in inputs.items():
                m.d.comb += getattr(unit, port).eq(value)
            for signal in (unit.o, unit.overflow, unit.invalid):
                pipe.made(signal, cycle + unit.latency)
            return cycle + unit.latency

        def result(name: str, cycle: int):
            return pipe.at(units[name].o, cycle)

        use("decay", 0, a=self.wd, b=self.w)
        use("momentum", 0, a=self.mu, b=self.v)
        now = use("scale", 0, a=self.k, b=self.dw)
        now = use("gradient", now, a=result("scale", now), b=result("decay", now))
        now = use("velocity", now, a=result("momentum", now), b=result("gradient", now))
        now = use("rate", now, a=self.lr, b=result("velocity", now))
        # Subtracting is adding with the other sign.
        minus = result("rate", now) ^ BINARY32.minus_zero
        now = use("descent", now, a=pipe.at(self.w, now), b=minus)
        now = use("convert", now, i=result("descent", now))
        m.d.comb += [
            self.v_out.eq(result("velocity", now)),
            self.w_out.eq(result("descent", now)),
            self.stored.eq(result("convert", now)),
            self.overflow.eq(Cat(pipe.at(unit.overflow, now) for unit in units.values()).any()),
            self.invalid.eq(Cat(pipe.at(unit.invalid, now) for unit in units.values()).any()),
        ]
        pipe.build(m)
        return m
