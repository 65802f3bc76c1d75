"""Takes packets in hardware, and checks them."""

from __future__ import annotations

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.noc.flit import SubCoreAddress, flit_layout
from backspike.sim.harness.bench import SEED_FACTOR, STALL_BITS, Staller
from backspike.sim.harness.traffic.packet import (
    FAULT_BITS,
    LENGTH_BITS,
    PAYLOAD_BITS,
    RESULTS,
    SETTINGS,
    TIME_BITS,
    InjectedFault,
    TrafficHead,
    check_of,
    following,
    length_of,
    sequence_ports,
)

__all__ = ["TrafficSink"]


class TrafficSink(EmitOnce):
    """Takes packets, and finds all that is lost, doubled, out of order, corrupted or misplaced.

    Parameters
    ----------
    columns, rows : int
        Cores of the mesh, powers of two.

    Members
    -------
    here : In(SubCoreAddress)
        Where it is; constant.
    stall : In(8)
        The probability, of 256, that it takes nothing in a cycle.
    fault : In(3)
        A :class:`InjectedFault`.
    run, now, least, spread
        See ``SETTINGS``.
    count : In(1)
        See ``RESULTS``.
    i : In(stream of flits)
    results : Out(RESULTS)
    """

    _columns = Parameter[int]()
    _rows = Parameter[int]()

    def __init__(self, *, columns: int, rows: int):
        super().__init__(
            {
                **SETTINGS,
                "here": In(SubCoreAddress),
                "stall": In(STALL_BITS),
                "fault": In(FAULT_BITS),
                "count": In(1),
                "i": In(stream.Signature(flit_layout(PAYLOAD_BITS))),
                "results": Out(RESULTS),
            },
            columns=columns,
            rows=rows,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        comes, flit = self._take(m)
        made = self._check(m, comes, flit)
        self._count(m, comes, flit.last, self.now - made)
        return m

    def _take(self, m: Module) -> tuple[Signal, Any]:
        """Whether a flit comes, and what it is after the injected fault."""
        m.submodules.staller = staller = Staller()
        again = Signal()
        m.d.comb += [
            staller.run.eq(self.run),
            staller.seed.eq((self.here.as_value() << 4 | 13) * SEED_FACTOR),
            staller.stall.eq(self.stall),
            self.i.ready.eq(staller.ready & ((self.fault != InjectedFault.DOUBLE) | again)),
        ]
        with m.If(self.i.valid & staller.ready):
            m.d.sync += again.eq((self.fault == InjectedFault.DOUBLE) & ~again)
        comes = Signal()
        flit = Signal.like(self.i.payload)
        m.d.comb += [
            # Doubled, a flit is counted in two cycles, and leaves in the second of them.
            comes.eq(self.i.valid & staller.ready & (self.fault != InjectedFault.DROP)),
            flit.payload.eq(self.i.payload.payload ^ (self.fault == InjectedFault.CORRUPT) << 20),
            flit.last.eq(self.i.payload.last ^ (self.fault == InjectedFault.CUT)),
        ]
        return comes, flit

    def _check(self, m: Module, comes: Signal, flit: Any) -> Any:
        """Finds what is wrong with a flit; returns when its packet was made."""
        results = self.results
        head = TrafficHead(flit.payload)
        read, write = sequence_ports(m, self._columns, self._rows, head.source, head.tag)
        inside = Signal()  # a packet
        left = Signal(LENGTH_BITS + 1)  # flits of it to come
        chain = Signal(PAYLOAD_BITS)  # what the last one should have been
        made = Signal(TIME_BITS)
        after_head, after = Signal(PAYLOAD_BITS), Signal(PAYLOAD_BITS)
        more = Signal(LENGTH_BITS + 1)
        m.d.comb += [
            after_head.eq(following(flit.payload)),
            after.eq(following(chain)),
            write.data.eq(head.sequence + 1),
            write.en.eq(comes & ~inside),
            more.eq(Mux(inside, left - 1, length_of(after_head, self.least, self.spread))),
        ]
        with m.If(comes):
            m.d.sync += [
                inside.eq(~flit.last),
                left.eq(more),
                chain.eq(Mux(inside, after, head)),
                results.flits.eq(results.flits + 1),
            ]
            with m.If(flit.last != (more == 0)):
                m.d.sync += results.of_wrong_length.eq(1)
            with m.If(inside):
                with m.If(flit.payload != after):
                    m.d.sync += results.corrupted.eq(1)
            with m.Else():
                m.d.sync += [made.eq(head.time), results.packets.eq(results.packets + 1)]
                with m.If(head.check != check_of(head)):
                    m.d.sync += results.corrupted.eq(1)
                here = self.here.as_value() ^ (self.fault == InjectedFault.MISROUTE)
                with m.If(head.destination.as_value() != here):
                    m.d.sync += results.misrouted.eq(1)
                with m.If(head.sequence != read.data):
                    m.d.sync += results.out_of_order.eq(1)
        return Mux(inside, made, head.time)

    def _count(self, m: Module, comes: Signal, last: Any, since: Any) -> None:
        """Flits, packets and their latency, while ``count`` is high."""
        results = self.results
        latency = Signal(TIME_BITS)
        m.d.comb += latency.eq(since)
        counted = Signal()  # a cycle ago
        m.d.sync += counted.eq(self.count)
        with m.If(self.count & ~counted):
            m.d.sync += results.least_latency.eq(~0)
        with m.Elif(self.count & comes):
            m.d.sync += results.counted_flits.eq(results.counted_flits + 1)
            with m.If(last):
                m.d.sync += [
                    results.counted_packets.eq(results.counted_packets + 1),
                    results.latency.eq(results.latency + latency),
                ]
                with m.If(latency < results.least_latency):
                    m.d.sync += results.least_latency.eq(latency)
