"""NOC_CTRL: messages for other sub-cores, and the statuses."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, ceil_log2

from backspike.hw.component import EmitOnce
from backspike.hw.isa.table import BOXES, Control
from backspike.hw.noc.packet import Kind

__all__ = ["NocControl"]


class NocControl(EmitOnce):
    """Does what NOC_CTRL asks for.

    Within the core it takes the cycle after ``start``, unless a box is full; a message that leaves
    it is done when it is in its box.

    Members
    -------
    start : In(1), flow_type : In(3), msg_box : In(3)
        What is asked for; held until ``done``, but for ``start``.
    running : In(1)
        The program runs. A message that has found no room until it stops is given up.
    done : Out(1)
        High for one cycle.
    signals : Out(8), full : In(8)
        Messages for boxes of the other sub-core, and which of those are full.
    asks : Out(1), kind : Out(Kind), pending : In(1), give_up : Out(1)
        To the network: see :class:`backspike.hw.noc.send.Sender`.
    clears : Out(1), collects : Out(1)
        Statuses are to be forgotten, or to be collected, in this cycle.
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "flow_type": In(bits_for(len(Control) - 1)),
                "msg_box": In(ceil_log2(BOXES)),
                "running": In(1),
                "done": Out(1),
                "signals": Out(BOXES),
                "full": In(BOXES),
                "asks": Out(1),
                "kind": Out(Kind),
                "pending": In(1),
                "give_up": Out(1),
                "clears": Out(1),
                "collects": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        asked, posted, given_up, acts = Signal(), Signal(), Signal(), Signal()
        box, signals, leaves = Signal(BOXES), Signal(), Signal()
        m.d.comb += [
            box.eq(1 << self.msg_box),
            signals.eq(self.flow_type == Control.SIGNAL.value),
            leaves.eq(self.flow_type >= Control.REMOTE_SIGNAL.value),
            given_up.eq(asked & ~self.running),
            acts.eq(
                asked
                & self.running
                & Mux(leaves, posted & ~self.pending, ~(signals & (box & self.full).any()))
            ),
            self.done.eq(acts | given_up),
            self.signals.eq(Mux(acts & signals, box, 0)),
            # A message that was given up before may still wait for its reply.
            self.asks.eq(asked & self.running & leaves & ~posted & ~self.pending),
            self.kind.eq(
                Mux(
                    self.flow_type == Control.REMOTE_COLLECT.value,
                    Kind.COLLECT,
                    Kind.SIGNAL,
                )
            ),
            self.give_up.eq(~asked),
            self.clears.eq(acts & (self.flow_type == Control.CLEAR.value)),
            self.collects.eq(acts & (self.flow_type == Control.COLLECT.value)),
        ]
        m.d.sync += [
            asked.eq(self.start | (asked & ~self.done)),
            posted.eq((posted | self.asks) & asked & ~self.done),
        ]
        return m
