"""Takes packets in hardware, and checks them."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce
from backspike.hw.noc.flit import SubCoreAddress, flit_layout
from backspike.sim.harness.bench import STALL_BITS, Staller
from backspike.sim.harness.traffic.packet import (
    FAULT_BITS,
    LENGTH_BITS,
    PAYLOAD_BITS,
    RESULTS,
    SEQUENCE_BITS,
    SETTINGS,
    TAG_BITS,
    TIME_BITS,
    InjectedFault,
    TrafficHead,
    check_of,
    following,
    length_of,
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

    def __init__(self, *, columns: int, rows: int):
        self._bits = (exact_log2(columns), exact_log2(rows))
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
        results = self.results
        m.submodules.staller = staller = Staller()
        again = Signal()
        m.d.comb += [
            staller.run.eq(self.run),
            staller.seed.eq((self.here.as_value() << 4 | 13) * 40503),
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
        head = TrafficHead(flit.payload)
        columns, rows = self._bits
        m.submodules.sequences = sequences = Memory(
            shape=SEQUENCE_BITS, depth=1 << columns + rows + 1 + TAG_BITS, init=[]
        )
        read, write = sequences.read_port(domain="comb"), sequences.write_port()
        inside = Signal()  # a packet
        left = Signal(LENGTH_BITS + 1)  # flits of it to come
        chain = Signal(PAYLOAD_BITS)  # what the last one should have been
        made = Signal(TIME_BITS)
        after_head, after = Signal(PAYLOAD_BITS), Signal(PAYLOAD_BITS)
        more = Signal(LENGTH_BITS + 1)
        source = head.source
        m.d.comb += [
            after_head.eq(following(flit.payload)),
            after.eq(following(chain)),
            read.addr.eq(Cat(source.x[:columns], source.y[:rows], source.port, head.tag)),
            write.addr.eq(read.addr),
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
        latency = Signal(TIME_BITS)
        m.d.comb += latency.eq(self.now - Mux(inside, made, head.time))
        counted = Signal()  # a cycle ago
        m.d.sync += counted.eq(self.count)
        with m.If(self.count & ~counted):
            m.d.sync += results.least_latency.eq(~0)
        with m.Elif(self.count & comes):
            m.d.sync += results.counted_flits.eq(results.counted_flits + 1)
            with m.If(flit.last):
                m.d.sync += [
                    results.counted_packets.eq(results.counted_packets + 1),
                    results.latency.eq(results.latency + latency),
                ]
                with m.If(latency < results.least_latency):
                    m.d.sync += results.least_latency.eq(latency)
        return m
