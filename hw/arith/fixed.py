"""Between a format and the exact fixed-point grid of sums."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hw.arith.format import Float
from hw.component import EmitOnce

__all__ = ["ToFixed"]


class ToFixed(EmitOnce):
    """A stored value as an integer multiple of 2**format.lsb; combinational.

    Members
    -------
    i : In(format.width)
    o : Out(signed(format.fixed_bits))
        0 for NaN and infinity.
    special : Out(1)
        The value is NaN or infinity.
    """

    latency = 0

    def __init__(self, *, format: Float):
        self._format = format
        super().__init__(
            {
                "i": In(format.width),
                "o": Out(signed(format.fixed_bits)),
                "special": Out(1),
            },
            format=format,
        )

    def elaborate(self, platform):
        m = Module()
        stored = Signal(self._format.layout)
        significand = Signal(self._format.mantissa + 1)
        shift = Signal(self._format.exponent)
        magnitude = Signal(self._format.fixed_bits - 1)
        m.d.comb += [
            stored.eq(self.i),
            self.special.eq(stored.exponent.all()),
            significand.eq(stored.mantissa | (stored.exponent.any() << self._format.mantissa)),
            shift.eq(Mux(stored.exponent.any(), stored.exponent - 1, 0)),
            magnitude.eq(Mux(self.special, 0, significand << shift)),
            self.o.eq(Mux(stored.sign, -magnitude, magnitude)),
        ]
        return m
