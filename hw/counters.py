"""Event counters that software reads: what the performance model is checked against."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Module
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce

__all__ = ["COUNTER_BITS", "CounterValues", "Counters"]

COUNTER_BITS = 40
"""Bits of a counter: at 500 MHz half an hour before one that grows by 1 wraps around."""


def CounterValues(names: Iterable[str]) -> data.StructLayout:
    """What counters of these names have counted."""
    return data.StructLayout(dict.fromkeys(names, COUNTER_BITS))


class Counters(EmitOnce):
    """A bank of counters, each adding its event's amount in every cycle.

    Parameters
    ----------
    **events : int
        Name of each event and the bits of its amount in one cycle.

    Members
    -------
    clear : In(1)
        Zero all counters.
    events : In(struct)
    values : Out(CounterValues)
        Latency one cycle.
    """

    def __init__(self, **events: int):
        super().__init__(
            {
                "clear": In(1),
                "events": In(data.StructLayout(events)),
                "values": Out(CounterValues(events)),
            },
            **events,
        )

    def elaborate(self, platform):
        m = Module()
        for name in self.parameters:
            value = self.values[name]
            with m.If(self.clear):
                m.d.sync += value.eq(0)
            with m.Elif(self.events[name] != 0):
                m.d.sync += value.eq(value + self.events[name])
        return m
