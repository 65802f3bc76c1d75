"""Flits from one clock to another."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.noc.flit import flit_layout
from backspike.hw.noc.queue import check_depth

__all__ = ["Crossing"]


class Crossing(EmitOnce):
    """A queue whose ends have clocks of their own: the domains ``write`` and ``read``.

    A ``DomainRenamer`` gives them those of the parent. Both are reset together. A flit that
    comes to an empty queue leaves at the third or fourth edge of ``read`` from then on. Throughput
    is a flit a cycle of the slower clock with a depth of 8 or more.

    Parameters
    ----------
    payload_bits : int
        Of a flit.
    depth : int
        Flits, a power of two from 2.

    Members
    -------
    i : In(stream of flits)
        In ``write``.
    o : Out(stream of flits)
        In ``read``.

    Raises
    ------
    ValueError
        If no destination fits in a flit, or the depth is none.
    """

    _depth = Parameter[int]()

    def __init__(self, *, payload_bits: int, depth: int):
        self._layout = flit_layout(payload_bits)
        check_depth(depth)
        flits = stream.Signature(self._layout)
        super().__init__({"i": In(flits), "o": Out(flits)}, payload_bits=payload_bits, depth=depth)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.queue = queue = AsyncFIFO(
            width=self._layout.size, depth=self._depth, w_domain="write", r_domain="read"
        )
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            self.o.payload.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
        ]
        return m
