"""What the arithmetic units share besides rounding: the parts of a stored value, and delays."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import data

from backspike.hw.arith.format import Float

__all__ = ["Parts", "delayed", "unpack"]


def Parts(format: Float) -> data.StructLayout:
    """A value taken apart: significand * 2**(exponent - 1 + format.lsb) where it is finite.

    Fields
    ------
    significand : with its leading bit, which is 0 in zeros and subnormals
    exponent : 1 in zeros and subnormals, as in the smallest normal values
    sign, nan, infinite : 1 bit each
    """
    return data.StructLayout(
        {
            "significand": format.mantissa + 1,
            "exponent": format.exponent,
            "sign": 1,
            "nan": 1,
            "infinite": 1,
        }
    )


def unpack(m: Module, format: Float, code: Signal) -> data.View:
    """The :func:`Parts` of ``code``, in the same cycle."""
    stored = Signal(format.layout, name=f"{code.name}_stored")
    parts = Signal(Parts(format), name=f"{code.name}_parts")
    normal = Signal(name=f"{code.name}_normal")
    special = Signal(name=f"{code.name}_special")
    m.d.comb += [
        stored.eq(code),
        normal.eq(stored.exponent.any()),
        special.eq(stored.exponent.all()),
        parts.significand.eq(Cat(stored.mantissa, normal)),
        parts.exponent.eq(Cat(stored.exponent[0] | ~normal, stored.exponent[1:])),
        parts.sign.eq(stored.sign),
        parts.nan.eq(special & stored.mantissa.any()),
        parts.infinite.eq(special & ~stored.mantissa.any()),
    ]
    return parts


def delayed(m: Module, signal, cycles: int, name: str):
    """``signal`` as it was ``cycles`` clock cycles ago (undefined before that)."""
    for i in range(cycles):
        later = Signal.like(signal, name=f"{name}_{i + 1}", init=0, reset_less=True)
        m.d.sync += later.eq(signal)
        signal = later
    return signal
