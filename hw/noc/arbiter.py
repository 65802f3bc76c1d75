"""Who of several packets gets an output of a router."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from hw.component import EmitOnce
from hw.limits import check_whole

__all__ = ["PacketArbiter"]


class PacketArbiter(EmitOnce):
    """Grants one request at a time, until the packet behind it has gone: least recently served.

    Combinational from requests to grants. A packet of which a flit has gone comes before all
    others, so it is granted until its last flit, and then after all others: whoever requests is
    granted after at most ``inputs`` - 1 packets of others.

    Parameters
    ----------
    inputs : int
        From 2.

    Members
    -------
    requests : In(inputs)
        Held from before a packet's first flit until its last one has gone, also while none of its
        flits is there.
    grants : Out(inputs)
        One of the requests, if there is any.
    moves : In(1), ends : In(1)
        A flit of the granted packet goes; if so, it is the last one.

    Raises
    ------
    ValueError
        If there are less than two inputs.
    """

    def __init__(self, *, inputs: int):
        self._inputs = check_whole("inputs", inputs, 2)
        super().__init__(
            {"requests": In(inputs), "grants": Out(inputs), "moves": In(1), "ends": In(1)},
            inputs=inputs,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        inputs = range(self._inputs)
        # Of each two, whether the first comes before the second.
        order = {
            pair: Signal(init=1, name=f"before_{pair[0]}_{pair[1]}")
            for pair in combinations(inputs, 2)
        }
        for one in inputs:
            others = [
                self.requests[other] & (order[other, one] if other < one else ~order[one, other])
                for other in inputs
                if other != one
            ]
            m.d.comb += self.grants[one].eq(self.requests[one] & ~Cat(others).any())
        with m.If(self.moves):
            for (first, second), before in order.items():
                with m.If(self.grants[first] | self.grants[second]):
                    m.d.sync += before.eq(self.grants[first] ^ self.ends)
        return m
