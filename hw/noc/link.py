"""Links between the meshes of two chips: flits one way, credits for them the other."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import check_whole
from backspike.hw.noc.flit import flit_layout

__all__ = ["Link", "LinkIn", "LinkOut"]


class Link(wiring.Signature):
    """One direction of a link, as its sender sees it; a link is two of them.

    What lies between may take any time, which may vary, as long as it keeps the order of either
    stream, and loses and doubles nothing; it may be slower than a flit a cycle. Both ends are reset
    together, and what is under way between them with them.

    Parameters
    ----------
    payload_bits : int
        Of a flit.
    credits : int
        Flits that the receiver has room for, at least 2.

    Members
    -------
    flit : Out(stream of flits)
        The receiver takes each as it comes: its ``ready`` is 1, so nothing has to wait on the way.
    credit : In(stream of numbers up to ``credits``)
        So many flits have left the receiver's queue. The sender's ``ready`` is 1.
    """

    def __init__(self, *, payload_bits: int, credits: int):
        check_whole("credits", credits, 2)
        super().__init__(
            {
                "flit": Out(stream.Signature(flit_layout(payload_bits))),
                "credit": In(stream.Signature(range(credits + 1))),
            }
        )


class LinkOut(EmitOnce):
    """The sending end: lets a flit go when there is room for it at the other end.

    A flit is on the link in the cycle after it came. Throughput is a flit a cycle if there are at
    least 4 credits more than cycles that what lies between takes, there and back together.

    Parameters
    ----------
    payload_bits, credits : int
        See :class:`Link`; ``credits`` are the same at both ends.

    Members
    -------
    i : In(stream of flits)
        Its ``ready`` depends on that of ``link.flit`` without a register between them.
    link : Out(Link)

    Raises
    ------
    ValueError
        If no destination fits in a flit, or there are less than two credits.
    """

    _credits = Parameter[int]()

    def __init__(self, *, payload_bits: int, credits: int):
        super().__init__(
            {
                "i": In(stream.Signature(flit_layout(payload_bits))),
                "link": Out(Link(payload_bits=payload_bits, credits=credits)),
            },
            payload_bits=payload_bits,
            credits=credits,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        flit, credit = self.link.flit, self.link.credit
        room = Signal(range(self._credits + 1), init=self._credits)  # at the other end
        free = Signal()
        m.d.comb += [
            free.eq(~flit.valid | flit.ready),
            self.i.ready.eq(free & (room != 0)),
            credit.ready.eq(1),
        ]
        with m.If(free):
            m.d.sync += [
                flit.valid.eq(self.i.valid & self.i.ready),
                flit.payload.eq(self.i.payload),
            ]
        m.d.sync += room.eq(
            room - (self.i.valid & self.i.ready) + Mux(credit.valid, credit.payload, 0)
        )
        return m


class LinkIn(EmitOnce):
    """The receiving end: a queue, and credits for what has left it.

    A flit can leave in the cycle after it came, and its credit is on the link one cycle later.
    Credits that have to wait add up.

    Parameters
    ----------
    payload_bits, credits : int
        See :class:`Link`.

    Members
    -------
    link : In(Link)
    o : Out(stream of flits)

    Raises
    ------
    ValueError
        If no destination fits in a flit, or there are less than two credits.
    """

    _credits = Parameter[int]()

    def __init__(self, *, payload_bits: int, credits: int):
        super().__init__(
            {
                "link": In(Link(payload_bits=payload_bits, credits=credits)),
                "o": Out(stream.Signature(flit_layout(payload_bits))),
            },
            payload_bits=payload_bits,
            credits=credits,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        flit, credit = self.link.flit, self.link.credit
        m.submodules.queue = queue = SyncFIFO(
            width=len(flit.payload.as_value()), depth=self._credits
        )
        leaves = Signal()
        m.d.comb += [
            flit.ready.eq(1),
            queue.w_en.eq(flit.valid),
            queue.w_data.eq(flit.payload),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
            leaves.eq(self.o.valid & self.o.ready),
        ]
        owed, due = Signal.like(credit.payload), Signal.like(credit.payload)
        m.d.comb += due.eq(owed + leaves)
        with m.If(~credit.valid | credit.ready):
            m.d.sync += [credit.valid.eq(due != 0), credit.payload.eq(due), owed.eq(0)]
        with m.Else():
            m.d.sync += owed.eq(due)
        return m
