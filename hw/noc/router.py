"""The router of the mesh."""

from __future__ import annotations

import functools
import operator
from typing import Any

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.noc.arbiter import PacketArbiter
from backspike.hw.noc.flit import COORDINATE_BITS, flit_layout
from backspike.hw.noc.queue import InputQueue, check_depth
from backspike.hw.noc.route import TURNS, RouterPort

__all__ = ["Router"]


class Router(EmitOnce):
    """Takes packets from each of six inputs to the outputs that XY routing gives them.

    Wormhole: an output belongs to a packet until its last flit has gone. An input queue, then a
    register at the output: a flit leaves two cycles after it came, if nothing is in its way, and
    each port moves a flit a cycle, also from packet to packet. No output depends on an input
    without a register between them.

    Packets from the same input to the same output stay in order. Of those that want the same
    output the least recently served comes next: each waits for one packet of each other input.
    A packet for a place outside the mesh leaves it at its edge.

    Parameters
    ----------
    payload_bits : int
        Of a flit, at least those of a destination.
    depth : int
        Flits that each input queue holds: a power of two from 2.

    Members
    -------
    x : In(4), y : In(4)
        Where the router is in the whole mesh; constant.
    i : In(stream of flits) x 6, o : Out(stream of flits) x 6
        In the order of :class:`backspike.hw.noc.route.RouterPort`.

    Raises
    ------
    ValueError
        If no destination fits in a flit, or the depth is none.
    """

    _payload_bits = Parameter[int]()
    _depth = Parameter[int]()

    def __init__(self, *, payload_bits: int, depth: int):
        check_depth(depth)
        flits = stream.Signature(flit_layout(payload_bits))
        super().__init__(
            {
                "x": In(COORDINATE_BITS),
                "y": In(COORDINATE_BITS),
                "i": In(flits).array(len(RouterPort)),
                "o": Out(flits).array(len(RouterPort)),
            },
            payload_bits=payload_bits,
            depth=depth,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        queues = {}
        for port in RouterPort:
            queues[port] = queue = InputQueue(
                payload_bits=self._payload_bits,
                depth=self._depth,
                outputs=sum(1 << output for output in TURNS[port]),
            )
            m.submodules[f"queue_{port.name.lower()}"] = queue
            here = self.i[port]
            m.d.comb += [
                queue.x.eq(self.x),
                queue.y.eq(self.y),
                queue.i.payload.eq(here.payload),
                queue.i.valid.eq(here.valid),
                here.ready.eq(queue.i.ready),
            ]
        pops: dict[RouterPort, list] = {port: [] for port in RouterPort}
        for port in RouterPort:
            self._output(m, port, queues, pops)
        for port, queue in queues.items():
            m.d.comb += queue.pop.eq(Cat(pops[port]).any())
        return m

    def _output(
        self,
        m: Module,
        port: RouterPort,
        queues: dict[RouterPort, InputQueue],
        pops: dict[RouterPort, list],
    ) -> None:
        """What leaves by ``port``; adds to ``pops``, for each input, when a flit of it may go."""
        name = port.name.lower()
        inputs = {entered: queues[entered] for entered in RouterPort if port in TURNS[entered]}
        m.submodules[f"arbiter_{name}"] = arbiter = PacketArbiter(inputs=len(inputs))
        grants = arbiter.grants
        payload = Signal(self._payload_bits, name=f"{name}_payload", reset_less=True)
        out = self.o[port]
        free, valid, last = (Signal(name=f"{name}_{what}") for what in ("free", "valid", "last"))
        m.d.comb += [
            arbiter.requests.eq(
                Cat(queue.wants[TURNS[entered].index(port)] for entered, queue in inputs.items())
            ),
            free.eq(~out.valid | out.ready),
            valid.eq((grants & Cat(queue.valid for queue in inputs.values())).any()),
            last.eq((grants & Cat(queue.last for queue in inputs.values())).any()),
            arbiter.ends.eq(free & last),
            out.payload.payload.eq(payload),
        ]
        with m.If(free):
            m.d.sync += [
                out.valid.eq(valid),
                out.payload.last.eq(last),
                payload.eq(_granted(m, grants, [queue.payload for queue in inputs.values()])),
            ]
        for entered, grant in zip(inputs, grants, strict=True):
            pops[entered].append(grant & free)


def _granted(m: Module, grants: Signal, words: list) -> Any:
    """The word that is granted: of up to six, in two LUTs of six inputs a bit."""
    some = Signal(len(words[0]), name="some")
    m.d.comb += some.eq(_masked(grants[:3], words[:3]))
    if len(words) == 3:
        return some
    if len(words) < 6:
        return some | _masked(grants[3:], words[3:])
    # Three more words do not fit into a LUT with their grants, but with two bits that say which.
    which = Signal(2, name="which")
    granted = Signal.like(some, name="granted")
    m.d.comb += which.eq(Cat(grants[3] | grants[5], grants[4] | grants[5]))
    with m.Switch(which):
        for number, word in enumerate([some, *words[3:]]):
            with m.Case(number):
                m.d.comb += granted.eq(word)
    return granted


def _masked(grants: Value, words: list) -> Value:
    """The word that is granted, or 0."""
    masked = (word & grant.replicate(len(word)) for word, grant in zip(words, grants, strict=True))
    return functools.reduce(operator.or_, masked)
