"""The exact end of a row: the tree that adds its lanes up, and the psum it adds them to."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from backspike.hw.arith.format import psum_nan
from backspike.hw.component import EmitOnce, Parameter

__all__ = ["Accumulator", "adder_tree"]


def add_with_carry(m: Module, a: Value, b: Value, carry: Value) -> Value:
    """``a + b + carry`` for signed a and b and a bit, as one adder: a bit below both carries in."""
    wide = Signal(signed(max(len(a), len(b)) + 2))
    m.d.comb += wide.eq(Cat(Const(1, 1), a).as_signed() + Cat(carry, b).as_signed())
    return wide >> 1


def adder_tree(
    m: Module, terms: list[Signal], carries: list[Signal] | None = None
) -> tuple[Signal, Signal | None]:
    """Adds a power of two of signed terms of one width, a register behind every level.

    ``carries``, one bit a term, are added too: all but the last in the carry inputs that the adders
    of the tree have anyway. So a negated term may come as its complement and a carry.

    Returns
    -------
    (Signal, Signal or None)
        The sum, log2(len(terms)) cycles later, and the carry that is still to be added to it.
    """
    level = 0
    while len(terms) > 1:
        sums, rest = [], []
        for i in range(0, len(terms), 2):
            width = max(len(terms[i]), len(terms[i + 1])) + 1
            total = Signal(signed(width), name=f"sum_{level}_{i // 2}")
            if carries is None:
                m.d.sync += total.eq(terms[i] + terms[i + 1])
            else:
                m.d.sync += total.eq(add_with_carry(m, terms[i], terms[i + 1], carries[i]))
                carry = Signal(name=f"carry_{level}_{i // 2}")
                m.d.sync += carry.eq(carries[i + 1])
                rest.append(carry)
            sums.append(total)
        terms, level = sums, level + 1
        if carries is not None:
            carries = rest
    return terms[0], carries[0] if carries is not None else None


class Accumulator(EmitOnce):
    """Keeps the psum of the output pixel at hand.

    psum = (first ? (read ? old : 0) : psum) + term, unless one of them is NaN: then NaN, until the
    next first.

    Latency one cycle, throughput one term a cycle.

    Parameters
    ----------
    width : int
        Bits of a psum; the most negative integer stands for NaN.
    term_bits : int
        Bits of a term.
    carry : bool
        Whether there is a bit to add besides.

    Members
    -------
    accumulate, first, read : In(1)
    old : In(signed(width)), term : In(signed(term_bits)), carry : In
    nan : In(1)
        The term contains something that makes the sum NaN.
    psum : Out(signed(width))
    """

    _width = Parameter[int]()
    _carry = Parameter[int]()

    def __init__(self, *, width: int, term_bits: int, carry: bool = False):
        super().__init__(
            {
                "accumulate": In(1),
                "first": In(1),
                "read": In(1),
                "old": In(signed(width)),
                "term": In(signed(term_bits)),
                "carry": In(int(carry)),
                "nan": In(1),
                "psum": Out(signed(width)),
            },
            width=width,
            term_bits=term_bits,
            carry=int(carry),
        )

    def elaborate(self, platform):
        m = Module()
        reserved = psum_nan(self._width)
        # Neither needs a reset: the first step of a pixel sets both.
        total = Signal(signed(self._width), reset_less=True)
        is_nan = Signal(reset_less=True)
        base = Signal(signed(self._width))
        result = Signal(signed(self._width))
        becomes_nan = Signal()
        m.d.comb += [
            base.eq(Mux(self.first, Mux(self.read, self.old, 0), total)),
            # The bit below makes Yosys put the term where it needs no LUT beside the sum's own.
            result.eq(
                add_with_carry(m, base, self.term, self.carry if self._carry else Const(0, 1))
            ),
            becomes_nan.eq(Mux(self.first, self.read & (self.old == reserved), is_nan) | self.nan),
            self.psum.eq(total),
        ]
        with m.If(self.accumulate):
            m.d.sync += [total.eq(result), is_nan.eq(becomes_nan)]
            # As a synchronous reset, it costs no gate.
            with m.If(becomes_nan):
                m.d.sync += total.eq(reserved)
        return m
