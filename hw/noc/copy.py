"""NOC_DATA: rows of words from one SRAM to others, of the core or behind the network."""

from __future__ import annotations

from typing import NamedTuple, Self

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.engine import Engine
from backspike.hw.isa.noc.command import CopyCommand
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import INNER_ROUTES, OWN_ROUTES, ROUTES
from backspike.hw.isa.units import copy_port
from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.stream import ReadStream
from backspike.hw.noc.packet import outgoing_word, word_flits

__all__ = ["CopyEngine", "Route"]

WAITING = 3
"""Words between read and write: as few as do not hold up one word a cycle."""
MOST_ROUTES = 1 << data.Layout.cast(CopyCommand)["route"].width


class Route(NamedTuple):
    """A pair of SRAMs whose words have the same width."""

    source: str
    destination: str
    """Port to write to within the core; empty if there is no way but the network."""
    width: int
    granules: int
    """Of the destination."""
    packet_words: int = 1
    """Words of the longest packet."""
    own: int | None = None
    """The route that a MULTICAST takes besides."""


class CopyEngine(Engine):
    """Copies between SRAMs whose words have the same width, by fixed routes, in order.

    Throughput is one word a cycle as both ends allow, also across rows. Within the core a word is
    written two cycles after it is read at the earliest, and a copy of n words takes n + 4 cycles
    from ``start`` to ``done``, both included. What goes to the network is done when the network has
    nothing pending any more. ``busy`` counts words. No status is ever set.

    Parameters
    ----------
    routes : tuple of Route
        By number.

    Members
    -------
    <source>_read : Out(ReadPort), <destination>_write : Out(WritePort)
        Routes share them where they share a memory. For the others see
        :class:`backspike.hw.engine.Engine`.
    network : Out(stream of outgoing_word)
        Of UNICAST and MULTICAST. A packet ends with a row, or when it is as long as it may be.
    pending : In(1)
        Words that the network has taken may not be where they go to yet.

    Raises
    ------
    ValueError
        If there is no route, or more than a command can tell apart, or routes differ in the words
        of a memory that they share.
    """

    _routes = Parameter[tuple[Route, ...]]()

    def __init__(self, *, routes: tuple[Route, ...]):
        if not 1 <= len(routes) <= MOST_ROUTES:
            raise ValueError(f"CopyEngine routes must be 1 to {MOST_ROUTES}, not {len(routes)}")
        self._width = max(route.width for route in routes)
        ports = {}
        for route in routes:
            wanted = [(f"{route.source}_read", ReadPort(width=route.width))]
            if route.destination:
                port = WritePort(width=route.width, granules=route.granules)
                wanted.append((f"{route.destination}_write", port))
            for name, port in wanted:
                if ports.setdefault(name, Out(port)).signature.members != port.members:
                    raise ValueError(f"CopyEngine routes must agree on the words of {name}")
        super().__init__(
            command=CopyCommand,
            ports=ports,
            counts={},
            parameters={"routes": routes},
            members={
                "network": Out(stream.Signature(outgoing_word(self._width))),
                "pending": In(1),
            },
        )

    @classmethod
    def from_config(cls, config: ChipConfig, subcore: str) -> Self:
        """The engine of a sub-core of ``config``."""
        routes = []
        for number, (source, destination) in enumerate(ROUTES[subcore]):
            size, noc = config.srams[destination], config.noc
            inner = number < INNER_ROUTES[subcore]
            routes.append(
                Route(
                    source,
                    copy_port(destination) if inner else "",
                    size.width,
                    size.granules,
                    packet_words=noc.packet_flits // word_flits(size.width, noc.flit_bits),
                    own=OWN_ROUTES[subcore][number] if inner and OWN_ROUTES[subcore] else None,
                )
            )
        return cls(routes=tuple(routes))

    def elaborate(self, platform):
        m = Module()
        tag = data.StructLayout(
            {"address": ADDRESS_BITS, "own": ADDRESS_BITS, "first": 1, "last": 1}
        )
        # What is read waits here for its turn to be written, with the addresses it goes to.
        m.submodules.words = words = ReadStream(width=self._width, tag_bits=tag.size, depth=WAITING)
        command = self.command
        finished = Signal()
        begins = self.sequence(m, finished)
        asking, asks = self._walk(m, begins, words, data.View(tag, words.i_tag))
        there = data.View(tag, words.o_tag)
        leaves, stays = Signal(), Signal()
        m.d.comb += [
            leaves.eq(command.flow != Flow.CORE.value),
            stays.eq(command.flow != Flow.UNICAST.value),
            finished.eq(~(asking | words.arrived | words.o_valid) & ~self.pending),
        ]

        # A word may be taken at its two ends in different cycles.
        written, sent, writes, accepted = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            writes.eq(words.o_valid & stays & ~written),
            self.network.valid.eq(words.o_valid & leaves & ~sent),
            Cat(self.network.payload.data, self.network.payload.route).eq(
                Cat(words.o_data, command.route)
            ),
            self.network.payload.address.eq(there.address),
            self.network.payload.first.eq(there.first),
            self.network.payload.last.eq(there.last),
            words.o_ready.eq((written | accepted | ~stays) & (sent | self.network.ready | ~leaves)),
        ]
        with m.If(words.o_valid & words.o_ready):
            m.d.sync += [written.eq(0), sent.eq(0)]
        with m.Else():
            m.d.sync += [
                written.eq(written | writes & accepted),
                sent.eq(sent | self.network.valid & self.network.ready),
            ]
        self._route(m, words, there, writes, accepted)
        self.count(m, entering=asks)
        return m

    def _route(self, m: Module, words: ReadStream, there, writes, accepted) -> None:
        """The ports that the route reads and writes."""
        address = Signal(ADDRESS_BITS)
        for number, route in enumerate(self._routes):
            read = getattr(self, f"{route.source}_read")
            with m.If(self.command.route == number):
                m.d.comb += [
                    read.en.eq(words.port.en),
                    words.port.ready.eq(read.ready),
                    words.port.data.eq(read.data),
                ]
            m.d.comb += read.addr.eq(words.port.addr)
            if not route.destination:
                continue
            write = getattr(self, f"{route.destination}_write")
            # A route within the core, or what MULTICASTs take besides.
            chosen = (self.command.flow == Flow.CORE.value) & (self.command.route == number)
            for other, each in enumerate(self._routes):
                if each.own == number:
                    multicast = self.command.flow == Flow.MULTICAST.value
                    chosen |= multicast & (self.command.route == other)
            with m.If(chosen):
                m.d.comb += [write.en.eq(writes), accepted.eq(write.ready)]
            m.d.comb += [
                write.addr.eq(address),
                write.data.eq(words.o_data[: route.width]),
                write.mask.eq(~0),
            ]
        multicast = self.command.flow == Flow.MULTICAST.value
        m.d.comb += address.eq(Mux(multicast, there.own, there.address))

    def _walk(self, m: Module, begins, words: ReadStream, tag) -> tuple[Signal, Signal]:
        """Asks for word after word; returns whether words are left, and whether one is taken."""
        command = self.command
        asking, asks, last = Signal(), Signal(), Signal()
        words_left, rows_left = Signal(ADDRESS_BITS + 1), Signal(COUNT_BITS)
        m.d.comb += [
            words.i_valid.eq(asking),
            words.i_read.eq(1),
            asks.eq(asking & words.i_ready),
            last.eq(words_left == 1),
        ]
        with m.If(begins):
            m.d.sync += [
                asking.eq(1),
                words_left.eq(command.words),
                rows_left.eq(command.rows),
            ]
        with m.Elif(asks):
            m.d.sync += words_left.eq(Mux(last, command.words, words_left - 1))
            with m.If(last):
                m.d.sync += [rows_left.eq(rows_left - 1), asking.eq(rows_left != 1)]
        ends = {"source": words.i_addr, "destination": tag.address, "own": tag.own}
        for end, address in ends.items():
            here = Signal(ADDRESS_BITS, name=f"{end}_here")
            row = Signal(ADDRESS_BITS, name=f"{end}_of_row")  # first word of the row
            after = Signal(ADDRESS_BITS, name=f"{end}_after")
            m.d.comb += [
                address.eq(here),
                after.eq(Mux(last, row, here) + Mux(last, getattr(command, f"{end}_row"), 1)),
            ]
            with m.If(begins):
                m.d.sync += [here.eq(getattr(command, end)), row.eq(getattr(command, end))]
            with m.Elif(asks):
                m.d.sync += here.eq(after)
                with m.If(last):
                    m.d.sync += row.eq(after)

        # The number of the word in its packet.
        most = max(route.packet_words for route in self._routes)
        word, last_word = Signal(max(1, ceil_log2(most))), Signal(max(1, ceil_log2(most)))
        with m.Switch(command.route):
            for number, route in enumerate(self._routes):
                with m.Case(number):
                    m.d.comb += last_word.eq(route.packet_words - 1)
        m.d.comb += [tag.first.eq(word == 0), tag.last.eq(last | (word == last_word))]
        with m.If(begins):
            m.d.sync += word.eq(0)
        with m.Elif(asks):
            m.d.sync += word.eq(Mux(tag.last, 0, word + 1))
        return asking, asks
