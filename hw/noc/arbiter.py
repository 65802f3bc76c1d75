"""Who of several packets gets an output of a router."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import check_whole

__all__ = ["PacketArbiter"]


class PacketArbiter(EmitOnce):
    """Grants one request at a time, until the packet behind it has gone: least recently granted.

    Grants are registers, so that what they move is not in one path with how they are decided:
    they follow from requests a cycle ahead. Whoever requests is granted after at most
    ``inputs`` - 1 packets of others.

    Parameters
    ----------
    inputs : int
        From 2.

    Members
    -------
    requests : In(inputs)
        As they are in the next cycle. Held until granted; of no matter for the one that is.
    ends : In(1)
        The last flit of the granted packet goes.
    grants : Out(inputs)
        One of the requests, if there is any.

    Attributes
    ----------
    order : dict of (int, int) to Signal
        Of each two inputs, whether the first comes before the second. Who is granted comes last.

    Raises
    ------
    ValueError
        If there are less than two inputs.
    """

    _inputs = Parameter[int]()

    def __init__(self, *, inputs: int):
        check_whole("inputs", inputs, 2)
        self.order = {
            pair: Signal(name="before_{}_{}".format(*pair))
            for pair in combinations(range(inputs), 2)
        }
        super().__init__(
            {"requests": In(inputs), "ends": In(1), "grants": Out(inputs)},
            inputs=inputs,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        inputs = range(self._inputs)
        first = {}
        for (one, other), before in self.order.items():
            was = Signal(init=1, name=f"was_before_{one}_{other}")
            m.d.comb += before.eq((was | self.grants[other]) & ~self.grants[one])
            m.d.sync += was.eq(before)
            first[one, other], first[other, one] = before, ~before
        with m.If(self.ends | ~self.grants.any()):
            for one in inputs:
                rivals = (
                    self.requests[other] & first[other, one] for other in inputs if other != one
                )
                m.d.sync += self.grants[one].eq(self.requests[one] & ~Cat(rivals).any())
        return m
