"""One row of the BP array: multipliers of one input channel, their tree and accumulator."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.arith.format import Float
from backspike.hw.arith.unpack import delayed, unpack
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.accumulator import Accumulator, adder_tree

__all__ = ["BpRow", "factor_layout", "operand_of"]


def shifted_bits(format: Float) -> int:
    """Low bits of an exponent by which a significand is shifted before it is multiplied.

    Each of the many products then takes one step of shifting less, for one more of each of the few
    factors.
    """
    return min(2, format.exponent - 1)


def factor_layout(format: Float) -> data.StructLayout:
    """A value ready to be multiplied: significand * 2**(exponent * 2**shifted_bits - 1 + lsb)."""
    shifted = shifted_bits(format)
    return data.StructLayout(
        {
            "significand": format.mantissa + (1 << shifted),
            "exponent": format.exponent - shifted,
            "sign": 1,
            "special": 1,  # NaN or infinity
        }
    )


def operand_of(m: Module, format: Float, code: Value, name: str) -> data.View:
    """The :func:`factor_layout` that a stored value is, in the same cycle."""
    stored = Signal(format.width, name=name)
    operand = Signal(factor_layout(format), name=f"{name}_operand")
    m.d.comb += stored.eq(code)
    parts = unpack(m, format, stored)
    shifted = shifted_bits(format)
    m.d.comb += [
        operand.significand.eq(parts.significand << parts.exponent[:shifted]),
        operand.exponent.eq(parts.exponent[shifted:]),
        operand.sign.eq(parts.sign),
        operand.special.eq(parts.nan | parts.infinite),
    ]
    return operand


class BpRow(EmitOnce):
    """Multiplies, each cycle, the du of every lane that takes part by that lane's weight, and adds.

    psum = (first ? (read ? old : 0) : psum) + sum over lanes of T(du * w)

    T truncates the exact product toward zero to a multiple of 2**format.product_lsb. Products of
    lanes that take no part are 0, and their multipliers do not toggle.

    Throughput is one step a cycle; ``psum`` holds the sum ``latency`` cycles after ``take``. The
    accumulator's inputs (``accumulate`` to ``old``) are wanted a cycle before that.

    Parameters
    ----------
    format : Float
    lanes : int

    Members
    -------
    take : In(lanes), weights, du : In(lanes x factor)
    accumulate, first, read : In(1), old : In(signed(product_psum_bits))
    special, overflow : Out(1)
        A NaN or infinity, or a product of 2**format.top or more, is about to be added; with
        ``accumulate``.
    psum : Out(signed(product_psum_bits))
        The most negative integer stands for NaN.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int):
        operands = data.ArrayLayout(factor_layout(format), lanes)
        psum = signed(format.product_psum_bits)
        super().__init__(
            {
                "take": In(lanes),
                "weights": In(operands),
                "du": In(operands),
                "accumulate": In(1),
                "first": In(1),
                "read": In(1),
                "old": In(psum),
                "special": Out(1),
                "overflow": Out(1),
                "psum": Out(psum),
            },
            format=format,
            lanes=lanes,
        )

    @staticmethod
    def latency_of(lanes: int) -> int:
        """Cycles from ``take`` to ``psum``: operands, product, shift, tree, accumulator."""
        return 3 + ceil_log2(lanes) + 1

    def elaborate(self, platform):
        m = Module()
        terms, carries = [], []
        special, overflow = Signal(self._lanes), Signal(self._lanes)
        for lane in range(self._lanes):
            term, carry = self._element(m, lane, special, overflow)
            terms.append(term)
            carries.append(carry)
        total, carry = adder_tree(m, terms, carries)
        # What is wrong with a term goes beside the sum through the tree.
        special_any, overflow_any = Signal(), Signal()
        m.d.comb += [special_any.eq(special.any()), overflow_any.eq(overflow.any())]
        levels = ceil_log2(self._lanes)
        m.d.comb += [
            self.special.eq(delayed(m, special_any, levels, "special")),
            self.overflow.eq(delayed(m, overflow_any, levels, "overflow")),
        ]

        m.submodules.accumulator = accumulator = Accumulator(
            width=self._format.product_psum_bits, term_bits=len(total), carry=True
        )
        m.d.comb += [
            accumulator.accumulate.eq(self.accumulate),
            accumulator.first.eq(self.first),
            accumulator.read.eq(self.read),
            accumulator.old.eq(self.old),
            accumulator.term.eq(total),
            accumulator.carry.eq(carry),
            accumulator.nan.eq(self.special | self.overflow),
            self.psum.eq(accumulator.psum),
        ]
        return m

    def _element(self, m, lane, special, overflow):
        """One PE: from the operands to a term, complemented if negative, and the carry it lacks."""
        format = self._format
        operand = factor_layout(format)
        w, du = Signal(operand, name=f"w_{lane}"), Signal(operand, name=f"du_{lane}")
        take = Signal(2, name=f"take_{lane}")
        with m.If(self.take[lane]):
            m.d.sync += [w.eq(self.weights[lane]), du.eq(self.du[lane])]
        m.d.sync += take.eq(Cat(self.take[lane], take))

        product = Signal(2 * len(w.significand), name=f"product_{lane}")
        exponent = Signal(len(w.exponent) + 1, name=f"exponent_{lane}")
        sign, bad = Signal(name=f"sign_{lane}"), Signal(name=f"bad_{lane}")
        with m.If(take[0]):
            m.d.sync += [
                product.eq(w.significand * du.significand),
                exponent.eq(w.exponent + du.exponent),
                sign.eq(w.sign ^ du.sign),
                bad.eq(w.special | du.special),
            ]

        # magnitude = product * 2**(exponent * 2**shifted - origin) on the grid. Shifting by the low
        # bits of the exponent first keeps the shifter narrow until its last step, which takes the
        # sign in.
        bits = format.product_bits - 1
        origin = format.product_lsb - 2 * format.lsb + 2
        shifted = shifted_bits(format)
        low = min(2, len(exponent) - 1)
        fine = Signal(len(product) + (((1 << low) - 1) << shifted), name=f"fine_{lane}")
        coarse = Signal(bits, name=f"coarse_{lane}")
        with m.Switch(exponent[:low]):
            for by in range(1 << low):
                with m.Case(by):
                    m.d.comb += fine.eq(product << (by << shifted))
        with m.Switch(exponent[low:]):
            for high in range(1 << (len(exponent) - low)):
                with m.Case(high):
                    shift = (high << low + shifted) - origin
                    m.d.comb += coarse.eq(fine << shift if shift >= 0 else fine >> -shift)
        term = Signal(signed(bits + 1), name=f"term_{lane}")
        carry = Signal(name=f"carry_{lane}")
        too_large = self._too_large(m, product, exponent, lane)
        with m.If(take[1]):
            m.d.sync += [
                term.eq(Cat(coarse ^ sign.replicate(bits), sign)),
                carry.eq(sign),
                special[lane].eq(bad),
                overflow[lane].eq(~bad & too_large),
            ]
        with m.Else():
            m.d.sync += [
                Cat(term, carry).eq(0),
                special[lane].eq(0),
                overflow[lane].eq(0),
            ]
        return term, carry

    def _too_large(self, m, product, exponent, lane):
        """Whether a product is 2**format.top or more; of finite factors."""
        format = self._format
        bits = format.product_bits - 1 + format.product_lsb - 2 * format.lsb + 2
        found = Signal(name=f"too_large_{lane}")
        with m.Switch(exponent):
            for number in range(1 << len(exponent)):
                # The lowest bit of the product that would be too high.
                lowest = bits - (number << shifted_bits(format))
                # Where zeros and subnormals have no such exponent, the product has this bit or one
                # above it.
                if lowest <= 2 * format.mantissa:
                    with m.Case(number):
                        m.d.comb += found.eq(1)
                elif lowest < len(product):
                    with m.Case(number):
                        m.d.comb += found.eq(product[lowest:].any())
        return found
