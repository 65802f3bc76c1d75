"""What is claimed of the parts of the network on chip, as harnesses for :mod:`tests.hw.proof`."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from amaranth import Array, Cat, Elaboratable, Module, Mux, ResetSignal, Signal, Value
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume

from backspike.hw.noc.arbiter import PacketArbiter
from backspike.hw.noc.crossing import Crossing
from backspike.hw.noc.flit import DESTINATION_BITS, SubCoreAddress
from backspike.hw.noc.queue import InputQueue
from backspike.hw.noc.route import TURNS, Endpoint, RouterPort, choices
from backspike.hw.noc.router import Router

__all__ = ["ArbiterClaims", "CrossingClaims", "QueueClaims", "RouterClaims"]

COUNT_BITS = 4
"""Of counters of flits: no bounded proof gets as far as their end."""


class ArbiterClaims(Elaboratable):
    """A grant goes to one request, at once, and to each after one packet of each other at most.

    All of it holds for ever: the assertions about the order are there for the induction.
    """

    def __init__(self, arbiter: PacketArbiter):
        self._arbiter = arbiter

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += Assume(~ResetSignal())
        m.submodules.arbiter = arbiter = self._arbiter
        count = len(arbiter.grants)
        requests, grants = arbiter.requests, arbiter.grants
        m.d.comb += [requests.eq(AnySeq(count)), arbiter.ends.eq(AnySeq(1))]

        # What was asked for, and by whom it was held, a cycle ago.
        requested, granted, ended = Signal(count), Signal(count), Signal()
        m.d.sync += [requested.eq(requests), granted.eq(grants), ended.eq(arbiter.ends)]
        kept = Signal()
        m.d.comb += kept.eq(granted.any() & ~ended)
        for one in range(count):
            # A request that is not granted stays.
            with m.If(requested[one] & ~grants[one]):
                m.d.comb += Assume(requests[one])
        m.d.comb += [
            Assert((grants & (grants - 1)[:count]) == 0),
            Assert(~kept | (grants == granted)),
            Assert(kept | (grants & ~requested == 0)),
            Assert(kept | (grants.any() == requested.any())),
        ]

        def before(one: int, other: int) -> Any:
            return arbiter.order[one, other] if one < other else ~arbiter.order[other, one]

        for one, other, third in permutations(range(count), 3):
            m.d.comb += Assert(~(before(one, other) & before(other, third) & before(third, one)))
        for one in range(count):
            others = [other for other in range(count) if other != one]
            with m.If(grants[one]):
                m.d.comb += Assert(Cat(before(other, one) for other in others).all())
            # Packets of others that were granted while this one was waiting.
            waits, passed = (
                Signal(name=f"waits_{one}"),
                Signal(range(count + 1), name=f"passed_{one}"),
            )
            m.d.comb += waits.eq(requested[one] & ~grants[one])
            overtakes = Signal(name=f"overtaken_{one}")
            m.d.comb += overtakes.eq(waits & grants.any() & ~kept)
            total = Signal(range(count + 2), name=f"total_{one}")
            m.d.comb += total.eq(passed + overtakes)
            m.d.sync += passed.eq(0)
            with m.If(waits):
                m.d.sync += passed.eq(total)
                behind = sum(before(one, other) for other in others)
                m.d.comb += [Assert(total <= behind), Assert(total <= count - 1)]
        return m


class _Order:
    """Claims that what comes out is what went in, in order: any one, by its number, for all.

    ``level`` is how many are inside; the domains are those that they go in and out by.
    """

    def __init__(self, m: Module, width: int, name: str, into: str = "sync", out: str = "sync"):
        self._m, self._into, self._out = m, into, out
        self._number = Signal(COUNT_BITS, name=f"{name}_number")
        self._kept = Signal(width, name=f"{name}_kept")
        self._pushed = Signal(COUNT_BITS, name=f"{name}_pushed")
        self._popped = Signal(COUNT_BITS, name=f"{name}_popped")
        self.level = Signal(COUNT_BITS, name=f"{name}_level")
        m.d.comb += [
            self._number.eq(AnyConst(COUNT_BITS)),
            self.level.eq(self._pushed - self._popped),
        ]

    def push(self, when: Any, what: Any) -> None:
        m = self._m
        with m.If(when):
            m.d[self._into] += self._pushed.eq(self._pushed + 1)
            with m.If(self._pushed == self._number):
                m.d[self._into] += self._kept.eq(what)

    def pop(self, when: Any, what: Any) -> None:
        m = self._m
        with m.If(when):
            m.d[self._out] += self._popped.eq(self._popped + 1)
            m.d.comb += Assert(self.level != 0)
            with m.If(self._popped == self._number):
                m.d.comb += Assert(Value.cast(what) == self._kept)


class QueueClaims(Elaboratable):
    """No overflow, no loss, order, and ``wants`` is where the packet in front has to go."""

    def __init__(self, queue: InputQueue, *, outputs: tuple[RouterPort, ...]):
        self._queue = queue
        self._outputs = outputs
        self._depth = queue.parameters["depth"]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.queue = queue = self._queue
        m.d.comb += [
            Assume(~ResetSignal()),
            queue.x.eq(AnyConst(4)),
            queue.y.eq(AnyConst(4)),
            queue.i.payload.eq(AnySeq(queue.i.payload.shape().size)),
            queue.i.valid.eq(AnySeq(1)),
            queue.pop.eq(AnySeq(1)),
        ]
        flit = Cat(queue.payload, queue.last)
        leaves = Signal()
        order = _Order(m, len(flit), "flits")
        order.push(queue.i.valid & queue.i.ready, queue.i.payload)
        order.pop(leaves, flit)
        m.d.comb += [
            leaves.eq(queue.valid & queue.pop),
            Assert(queue.valid == (order.level != 0)),
            Assert(queue.i.ready == (order.level != self._depth)),
        ]
        wants, inside = Signal.like(queue.wants), Signal()
        expected, held = Signal.like(wants), Signal.like(wants)
        m.d.sync += wants.eq(queue.wants)
        there = SubCoreAddress(queue.payload[:DESTINATION_BITS])
        for number, (holds, port) in enumerate(choices(queue, there)):
            if port in self._outputs:
                with m.If(holds) if number == 0 else m.Elif(holds):
                    m.d.comb += expected.eq(1 << self._outputs.index(port))
        with m.If(leaves):
            m.d.sync += inside.eq(~queue.last)
            with m.If(~inside):
                m.d.sync += held.eq(expected)
        with m.If(inside):
            m.d.comb += Assert(wants == held)
        with m.Elif(queue.valid):
            m.d.comb += Assert(wants == expected)
        with m.Else():
            m.d.comb += Assert(wants == 0)
        return m


class CrossingClaims(Elaboratable):
    """No overflow, no loss within the bound, and order, whatever the clocks do.

    And it does not stand still: what is inside is offered, and room is, at the ``PASSES``-th edge
    of the clock that they are for at the latest.
    """

    PASSES = 4

    def __init__(self, crossing: Crossing):
        self._crossing = crossing
        self._depth = crossing.parameters["depth"]

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crossing = crossing = self._crossing
        incoming, outgoing = crossing.i, crossing.o
        for domain in ("read", "write"):
            m.d.comb += Assume(~ResetSignal(domain))
        # Inputs change with the clock of their side, as registers do.
        for domain, signal in (
            ("write", incoming.payload.as_value()),
            ("write", incoming.valid),
            ("read", outgoing.ready),
        ):
            m.d[domain] += signal.eq(AnySeq(len(signal)))
        order = _Order(m, len(incoming.payload.as_value()), "flits", "write", "read")
        order.push(incoming.valid & incoming.ready, incoming.payload)
        order.pop(outgoing.valid & outgoing.ready, outgoing.payload)
        m.d.comb += Assert(order.level <= self._depth)
        for domain, waits in (
            ("read", (order.level != 0) & ~outgoing.valid),
            ("write", (order.level < self._depth) & ~incoming.ready),
        ):
            edges = Signal(range(self.PASSES + 1), name=f"{domain}_edges")
            m.d[domain] += edges.eq(Mux(waits, edges + 1, 0))
            m.d.comb += Assert(~waits | (edges < self.PASSES))
        return m


class RouterClaims(Elaboratable):
    """Packets leave where they have to, whole, in order, and, if none is held up, within a bound.

    Flits come at ``inputs``, as the mesh can give them, in packets of any length. That each leaves
    within ``bound`` cycles is claimed if packets are of one flit and outputs are always ready.
    """

    def __init__(
        self,
        router: Router,
        *,
        here: Endpoint,
        inputs: tuple[RouterPort, ...] = tuple(RouterPort),
        bound: int | None = None,
    ):
        self._inputs = inputs
        self._router = router
        self._here = here
        self._bound = bound

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.router = router = self._router
        m.d.comb += [Assume(~ResetSignal()), router.x.eq(self._here.x), router.y.eq(self._here.y)]
        bits = len(router.i[0].payload.as_value())
        # Any input and any output, of those that packets take.
        entered, left = Signal(3), Signal(3)
        m.d.comb += [entered.eq(AnyConst(3)), left.eq(AnyConst(3))]
        m.d.comb += Assume(
            Cat(
                (entered == one) & (left == other) for one in self._inputs for other in TURNS[one]
            ).any()
        )
        order = _Order(m, bits, "flits")
        taken = [self._input(m, port) for port in RouterPort]
        given = [self._output(m, port) for port in RouterPort]
        takes, goes = Array(taken)[entered]
        gives, came = Array(given)[left]
        flits = [Array(port.payload.as_value() for port in ports) for ports in (router.i, router.o)]
        order.push(takes & (goes == left), flits[0][entered])
        order.pop(gives & (came == entered), flits[1][left])
        if self._bound is not None:
            age = Signal(range(self._bound + 1))
            with m.If((order.level == 0) | gives & (came == entered)):
                m.d.sync += age.eq(0)
            with m.Else():
                m.d.sync += age.eq(age + 1)
                m.d.comb += Assert(age < self._bound)
        return m

    def _input(self, m: Module, port: RouterPort) -> tuple[Any, Any]:
        """Whether a flit is taken, and the output that its packet has to leave by."""
        name = port.name.lower()
        here = self._router.i[port]
        m.d.comb += [
            here.payload.eq(AnySeq(here.payload.shape().size)),
            here.valid.eq(AnySeq(1) if port in self._inputs else 0),
            # Each flit tells where it came in.
            Assume(here.payload.payload[DESTINATION_BITS:] == port),
        ]
        takes, goes, held = Signal(name=f"{name}_takes"), Signal(3), Signal(3)
        inside = Signal(name=f"{name}_inside")
        m.d.comb += takes.eq(here.valid & here.ready)
        with m.If(inside):
            m.d.comb += goes.eq(held)
        with m.Else():
            m.d.comb += goes.eq(self._route(m, here.payload.payload))
            m.d.comb += Assume(Cat(goes == output for output in TURNS[port]).any())
        with m.If(takes):
            m.d.sync += [inside.eq(~here.payload.last), held.eq(goes)]
        if self._bound is not None:
            m.d.comb += Assume(here.payload.last)
        return takes, goes

    def _output(self, m: Module, port: RouterPort) -> tuple[Any, Any]:
        """Whether a flit is given, and the input that it came from."""
        name = port.name.lower()
        there = self._router.o[port]
        m.d.comb += there.ready.eq(AnySeq(1) if self._bound is None else 1)
        gives, came, owner = Signal(name=f"{name}_gives"), Signal(3), Signal(3)
        inside = Signal(name=f"{name}_given")
        m.d.comb += [
            gives.eq(there.valid & there.ready),
            came.eq(there.payload.payload[DESTINATION_BITS:]),
        ]
        with m.If(gives):
            m.d.sync += [inside.eq(~there.payload.last), owner.eq(came)]
            with m.If(inside):
                m.d.comb += Assert(came == owner)
            with m.Else():
                m.d.comb += Assert(self._route(m, there.payload.payload) == port)
        return gives, came

    def _route(self, m: Module, payload: Any) -> Signal:
        found = Signal(3)
        there = SubCoreAddress(payload[:DESTINATION_BITS])
        for number, (holds, port) in enumerate(choices(self._here, there)):
            with m.If(holds) if number == 0 else m.Elif(holds):
                m.d.comb += found.eq(port)
        return found
