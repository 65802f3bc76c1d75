"""Makes packets in hardware."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.noc.flit import SubCoreAddress, flit_layout
from backspike.sim.harness.bench import SEED_FACTOR, STALL_BITS, Staller
from backspike.sim.harness.noise import Noise
from backspike.sim.harness.traffic.packet import (
    COUNT_BITS,
    LENGTH_BITS,
    PAYLOAD_BITS,
    SETTINGS,
    TAG_BITS,
    TIME_BITS,
    Pattern,
    TrafficHead,
    check_of,
    following,
    length_of,
    sequence_ports,
)

__all__ = ["TrafficSource"]

BACKLOG = 64
"""Packets that may wait at a source before it makes no more."""


class TrafficSource(EmitOnce):
    """Makes packets at random times and sends them as soon as it can.

    Parameters
    ----------
    columns, rows : int
        Cores of the mesh, powers of two.

    Members
    -------
    here : In(SubCoreAddress)
        Where it is; constant.
    pattern : In(3), rate : In(16), idle : In(8)
        Whom it sends to (:class:`Pattern`), the probability, of 65536, that it makes a packet in a
        cycle, and that, of 256, that it waits a cycle in front of a flit.
    run, now, least, spread
        See ``SETTINGS``.
    active : In(1)
        It makes packets.
    o : Out(stream of flits)
    packets : Out(32), flits : Out(32)
        Sent.
    busy : Out(1)
        Some of what was made is not sent yet.
    """

    _columns = Parameter[int]()
    _rows = Parameter[int]()

    def __init__(self, *, columns: int, rows: int):
        super().__init__(
            {
                **SETTINGS,
                "here": In(SubCoreAddress),
                "pattern": In(3),
                "rate": In(16),
                "idle": In(STALL_BITS),
                "active": In(1),
                "o": Out(stream.Signature(flit_layout(PAYLOAD_BITS))),
                "packets": Out(COUNT_BITS),
                "flits": Out(COUNT_BITS),
                "busy": Out(1),
            },
            columns=columns,
            rows=rows,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.random = random = Noise()
        m.submodules.choice = choice = Noise()
        m.submodules.staller = staller = Staller()
        for number, unit in enumerate((random, choice, staller)):
            seed = (self.here.as_value() << 4 | number << 2 | 1) * SEED_FACTOR
            m.d.comb += [unit.run.eq(self.run), unit.seed.eq(seed)]
        m.d.comb += staller.stall.eq(self.idle)

        m.submodules.backlog = backlog = SyncFIFO(width=TIME_BITS, depth=BACKLOG)
        m.d.comb += [
            backlog.w_en.eq(self.active & (random.o[:16] < self.rate)),
            backlog.w_data.eq(self.now),
        ]
        head = Signal(TrafficHead)
        possible = self._destination(m, head.destination, choice.o)
        read, write = sequence_ports(m, self._columns, self._rows, head.destination, head.tag)
        m.d.comb += [
            write.data.eq(read.data + 1),
            head.source.eq(self.here),
            head.tag.eq(choice.o[-TAG_BITS:]),
            head.sequence.eq(read.data),
            head.time.eq(backlog.r_data),
            head.check.eq(check_of(head)),
        ]
        begins, sending = self._send(m, head, backlog.r_rdy & possible, staller.ready)
        m.d.comb += [
            backlog.r_en.eq(begins),
            write.en.eq(begins),
            self.busy.eq(backlog.r_rdy | sending),
        ]
        return m

    def _send(self, m: Module, head: Any, may_begin: Any, may_go_on: Any) -> tuple[Any, Any]:
        """Sends packets flit by flit; whether one begins, and whether one is on its way."""
        left = Signal(LENGTH_BITS + 1)  # flits of the packet that are not at the output yet
        payload, last = self.o.payload.payload, self.o.payload.last
        after_head, after = Signal(PAYLOAD_BITS), Signal(PAYLOAD_BITS)
        begins, free = Signal(), Signal()
        more = Signal(LENGTH_BITS + 1)
        m.d.comb += [
            after_head.eq(following(head.as_value())),
            after.eq(following(payload)),
            free.eq((~self.o.valid | self.o.ready) & may_go_on),
            begins.eq(free & (left == 0) & may_begin),
            more.eq(length_of(after_head, self.least, self.spread)),
        ]
        with m.If(begins):
            m.d.sync += [
                self.o.valid.eq(1),
                payload.eq(head),
                last.eq(more == 0),
                left.eq(more),
                self.packets.eq(self.packets + 1),
            ]
        with m.Elif(free & (left != 0)):
            m.d.sync += [
                self.o.valid.eq(1),
                payload.eq(after),
                last.eq(left == 1),
                left.eq(left - 1),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.flits.eq(self.flits + 1)
        return begins, self.o.valid | (left != 0)

    def _destination(self, m: Module, there, random):
        """Sets ``there`` by the pattern; returns whether it is one to send to."""
        here = self.here
        columns, rows = self._columns, self._rows
        x_bits, y_bits = exact_log2(self._columns), exact_log2(self._rows)
        possible = Signal(init=1)
        m.d.comb += there.port.eq(here.port)
        uniform = Signal(SubCoreAddress)
        m.d.comb += [
            uniform.x.eq(random[:x_bits]),
            uniform.y.eq(random[4 : 4 + y_bits]),
            uniform.port.eq(random[8]),
        ]
        other = (uniform.x != here.x) | (uniform.y != here.y)
        with m.Switch(self.pattern):
            with m.Case(Pattern.UNIFORM):
                m.d.comb += [there.eq(uniform), possible.eq(other)]
            with m.Case(Pattern.TRANSPOSE):
                number = Cat(here.y[:y_bits], here.x[:x_bits])
                m.d.comb += [there.x.eq(number[:x_bits]), there.y.eq(number[x_bits:])]
            with m.Case(Pattern.COMPLEMENT):
                m.d.comb += [there.x.eq(columns - 1 - here.x), there.y.eq(rows - 1 - here.y)]
            with m.Case(Pattern.HOTSPOT):
                m.d.comb += [there.eq(uniform), possible.eq(other)]
                with m.If(random[9:11] == 0):
                    m.d.comb += [there.eq(0), possible.eq(1)]
            with m.Case(Pattern.NEIGHBOUR):
                m.d.comb += [there.x.eq(here.x ^ 1), there.y.eq(here.y)]
            with m.Case(Pattern.PIPELINE):
                self._pipeline(m, there, random[8])
        return possible

    def _pipeline(self, m: Module, there, aside):
        """The core before or behind this one along the rows, to and fro."""
        here = self.here
        columns, rows = self._columns, self._rows
        onward = Signal()  # to higher x
        at_end = Signal()  # of its row
        final = Signal()
        m.d.comb += [
            onward.eq(~(here.y[0] ^ here.port)),
            at_end.eq(here.x == Mux(onward, columns - 1, 0)),
            final.eq(at_end & (here.y == Mux(here.port, 0, rows - 1))),
        ]
        with m.If(final | aside & ~here.port):
            m.d.comb += [there.eq(here), there.port.eq(~here.port)]
        with m.Elif(at_end):
            m.d.comb += [there.x.eq(here.x), there.y.eq(Mux(here.port, here.y - 1, here.y + 1))]
        with m.Else():
            m.d.comb += [there.x.eq(Mux(onward, here.x + 1, here.x - 1)), there.y.eq(here.y)]
