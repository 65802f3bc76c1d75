"""The queue behind an input of a router."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import check_whole
from backspike.hw.noc.flit import COORDINATE_BITS, DESTINATION_BITS, SubCoreAddress, flit_layout
from backspike.hw.noc.route import RouterPort, choices

__all__ = ["InputQueue", "check_depth"]


def check_depth(depth: int) -> int:
    """``depth``, or a ValueError if no queue has it."""
    if check_whole("depth", depth, 2) & depth - 1:
        raise ValueError(f"depth must be a power of two from 2, not {depth!r}")
    return depth


class InputQueue(EmitOnce):
    """Keeps flits in order, and knows where the packet in front wants to go.

    The route of a packet is worked out as its head comes in and kept beside it, so that ``wants``
    comes from registers. A flit that comes to an empty queue is in front in the next cycle;
    throughput is one flit a cycle, whether they are of one packet or of several.

    Parameters
    ----------
    payload_bits : int
    depth : int
        Flits, a power of two from 2.
    outputs : int
        Bit mask of the ports of the router that packets may take, by their numbers, from two. A
        packet that would go elsewhere, which no mesh has, takes the first of them whose condition
        in :func:`backspike.hw.noc.route.choices` holds, or the last.

    Members
    -------
    x : In(4), y : In(4)
        Coordinates of the router; constant.
    i : In(stream of flits)
        ``ready`` is a register.
    payload : Out(payload_bits), valid : Out(1)
        Of the flit in front.
    wants : Out(outputs)
        One-hot, in the next cycle: the output, among those in the mask, of the packet in front,
        until its last flit has gone, also while none of its flits is there. 0 if there is none.
    last : Out(1)
        There is one in front, and it ends its packet; from a register, as is ``valid``.
    pop : In(1)
        The flit in front goes, if there is one.

    Raises
    ------
    ValueError
        If no destination fits in a flit, or the depth is none.
    """

    _payload_bits = Parameter[int]()
    _depth = Parameter[int]()

    def __init__(self, *, payload_bits: int, depth: int, outputs: int):
        layout = flit_layout(payload_bits)
        check_depth(depth)
        self._outputs = [port for port in RouterPort if outputs >> port & 1]
        super().__init__(
            {
                "x": In(COORDINATE_BITS),
                "y": In(COORDINATE_BITS),
                "i": In(stream.Signature(layout)),
                "payload": Out(payload_bits),
                "valid": Out(1),
                "wants": Out(len(self._outputs)),
                "last": Out(1),
                "pop": In(1),
            },
            payload_bits=payload_bits,
            depth=depth,
            outputs=outputs,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bits = exact_log2(self._depth)
        into, front, second = Signal(bits), Signal(bits), Signal(bits, init=1)
        push, pop, full = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.valid & self.pop),
        ]

        payloads = Memory(shape=self._payload_bits, depth=self._depth, init=[])
        m.submodules.payloads = payloads
        # Of each flit whether it is the last, and, of heads, the route: read one flit ahead.
        arriving = Cat(self.i.payload.last, self._route(m))
        notes = Memory(shape=len(arriving), depth=self._depth, init=[])
        m.submodules.notes = notes
        for memory, word in ((payloads, self.i.payload.payload), (notes, arriving)):
            port = memory.write_port()
            m.d.comb += [port.en.eq(push), port.addr.eq(into), port.data.eq(word)]
        shown, ahead = payloads.read_port(domain="comb"), notes.read_port(domain="comb")
        m.d.comb += [
            shown.addr.eq(front),
            self.payload.eq(shown.data),
            ahead.addr.eq(second),
        ]

        more, next_valid = Signal(), Signal()  # there is a flit behind the one in front, or comes
        note = Signal(len(arriving))  # of the flit that is in front next
        m.d.comb += [
            more.eq(self.valid & (second != into)),
            next_valid.eq(more | push),
            note.eq(Mux(more, ahead.data, arriving)),
        ]
        with m.If(push):
            m.d.sync += into.eq(into + 1)
        with m.If(pop):
            m.d.sync += [front.eq(second), second.eq(second + 1)]
        m.d.sync += full.eq(~pop & (full | push & ((into + 1)[:bits] == front)))
        with m.If(self.pop | ~self.valid):
            m.d.sync += [self.valid.eq(next_valid), self.last.eq(next_valid & note[0])]
        # What does not depend on ``pop``, which comes late, is worked out for both cases.
        wanted, next_wants = Signal.like(self.wants), Signal.like(self.wants)
        stays, leaves = Signal.like(self.wants), Signal.like(self.wants)
        m.d.comb += [
            next_wants.eq(Mux(next_valid, note[1:], 0)),
            stays.eq(Mux(wanted.any(), wanted, next_wants)),
            leaves.eq(Mux(self.last, next_wants, stays)),
            self.wants.eq(Mux(self.pop, leaves, stays)),
        ]
        m.d.sync += wanted.eq(self.wants)
        return m

    def _route(self, m: Module) -> Signal:
        """One-hot, the output of a packet whose head is arriving."""
        destination = SubCoreAddress(self.i.payload.payload[:DESTINATION_BITS])
        found = Signal(len(self._outputs))
        first, *others, (_, last) = (
            (holds, found.eq(1 << self._outputs.index(port)))
            for holds, port in choices(self, destination)
            if port in self._outputs
        )
        with m.If(first[0]):
            m.d.comb += first[1]
        for holds, goes in others:
            with m.Elif(holds):
                m.d.comb += goes
        with m.Else():
            m.d.comb += last
        return found
