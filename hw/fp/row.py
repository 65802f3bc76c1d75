"""One row of the FP array: the PEs of one output channel, their adder tree and accumulator."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.arith.format import Float
from backspike.hw.arith.unpack import delayed
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.accumulator import Accumulator, adder_tree
from backspike.hw.limits import PLANE_BITS

__all__ = ["FpRow"]


class FpRow(EmitOnce):
    """Selects, each cycle, one weight in every lane that takes part, and adds them up exactly.

    psum = (first ? (read ? old : 0) : psum) + 2**shift * sum of the lanes' weights

    Throughput is one step a cycle; ``psum`` holds the sum ``latency`` cycles after ``take``. The
    accumulator's inputs (``accumulate`` to ``old``) are wanted a cycle before that, with
    the step they belong to. A lane that takes no part does not toggle the tree.

    Parameters
    ----------
    format : Float
        Storage format; weights arrive on its fixed-point grid.
    lanes : int
        PEs of the row.
    ring_depth : int
        Weights kept in each PE.

    Members
    -------
    load : In(1), load_slot : In, load_weights : In(lanes x (fixed_bits + 1))
        Write a weight into each PE; the top bit says NaN or infinity.
    take : In(lanes), slots : In(lanes x log2(ring_depth))
        The lanes that take part and the weight each takes.
    shift : In(PLANE_BITS)
    accumulate, first, read : In(1), old : In(signed(psum_bits))
    special : Out(1)
        A NaN or infinity is about to be added, in the cycle of ``accumulate``.
    psum : Out(signed(psum_bits))
        The sum; the most negative integer stands for NaN.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _ring_depth = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int, ring_depth: int):
        slot_bits = ceil_log2(ring_depth)
        super().__init__(
            {
                "load": In(1),
                "load_slot": In(slot_bits),
                "load_weights": In(data.ArrayLayout(format.fixed_bits + 1, lanes)),
                "take": In(lanes),
                "slots": In(data.ArrayLayout(slot_bits, lanes)),
                "shift": In(PLANE_BITS),
                "accumulate": In(1),
                "first": In(1),
                "read": In(1),
                "old": In(signed(format.psum_bits)),
                "special": Out(1),
                "psum": Out(signed(format.psum_bits)),
            },
            format=format,
            lanes=lanes,
            ring_depth=ring_depth,
        )

    @staticmethod
    def latency_of(lanes: int) -> int:
        """Cycles from ``take`` to ``psum``: buffer, tree, shift, accumulator."""
        return 1 + ceil_log2(lanes) + 1 + 1

    def elaborate(self, platform):
        m = Module()
        bits = self._format.fixed_bits
        psum_bits = self._format.psum_bits

        terms = []
        special = Signal(self._lanes)
        for lane in range(self._lanes):
            m.submodules[f"weights_{lane}"] = weights = Memory(
                shape=bits + 1, depth=self._ring_depth, init=[]
            )
            write, read = weights.write_port(), weights.read_port(domain="comb")
            term = Signal(signed(bits), name=f"term_{lane}")
            m.d.comb += [
                write.en.eq(self.load),
                write.addr.eq(self.load_slot),
                write.data.eq(self.load_weights[lane]),
                read.addr.eq(self.slots[lane]),
            ]
            # A synchronous reset: the selector costs no logic of its own.
            with m.If(self.take[lane]):
                m.d.sync += Cat(term, special[lane]).eq(read.data)
            with m.Else():
                m.d.sync += Cat(term, special[lane]).eq(0)
            terms.append(term)

        total, _ = adder_tree(m, terms)
        shifted = Signal(signed(psum_bits))
        m.d.sync += shifted.eq(total << self.shift)
        # NaN goes beside the sum through tree and shift.
        special_any = Signal()
        m.d.comb += [
            special_any.eq(special.any()),
            self.special.eq(delayed(m, special_any, ceil_log2(self._lanes) + 1, "special")),
        ]

        m.submodules.accumulator = accumulator = Accumulator(width=psum_bits, term_bits=psum_bits)
        m.d.comb += [
            accumulator.accumulate.eq(self.accumulate),
            accumulator.first.eq(self.first),
            accumulator.read.eq(self.read),
            accumulator.old.eq(self.old),
            accumulator.term.eq(shifted),
            accumulator.nan.eq(self.special),
            self.psum.eq(accumulator.psum),
        ]
        return m
