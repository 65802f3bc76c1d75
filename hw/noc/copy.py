"""NOC_DATA inside a core: rows of words from one SRAM to another."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Out

from hw.engine import Engine
from hw.memory.loops import COUNT_BITS
from hw.memory.port import ADDRESS_BITS, ReadPort, WritePort
from hw.memory.stream import ReadStream
from hw.noc.command import CopyCommand

__all__ = ["CopyEngine"]

WAITING = 3
"""Words between read and write: as few as do not hold up one word a cycle."""
MOST_ROUTES = 1 << data.Layout.cast(CopyCommand)["route"].width


class CopyEngine(Engine):
    """Copies between SRAMs with words as wide, by fixed routes, in order.

    Throughput is one word a cycle as both memories allow, also across rows. A word is written two
    cycles after it is read at the earliest, and a copy of n words takes n + 4 cycles from ``start``
    to ``done``, both included. ``busy`` counts words. No status is ever set.

    Parameters
    ----------
    routes : tuple of (str, str, int, int)
        Source, destination, bits of a word, and granules of the destination, by number.

    Members
    -------
    <source>_read : Out(ReadPort), <destination>_write : Out(WritePort)
        Routes share them where they share a memory. For the others see :class:`hw.engine.Engine`.

    Raises
    ------
    ValueError
        If there is no route, or more than a command can tell apart, or routes differ in the words
        of a memory that they share.
    """

    def __init__(self, *, routes: tuple[tuple[str, str, int, int], ...]):
        if not 1 <= len(routes) <= MOST_ROUTES:
            raise ValueError(f"CopyEngine routes must be 1 to {MOST_ROUTES}, not {len(routes)}")
        self._routes = routes
        ports = {}
        for source, destination, width, granules in routes:
            for name, port in (
                (f"{source}_read", ReadPort(width=width)),
                (f"{destination}_write", WritePort(width=width, granules=granules)),
            ):
                if ports.setdefault(name, Out(port)).signature.members != port.members:
                    raise ValueError(f"CopyEngine routes must agree on the words of {name}")
        super().__init__(command=CopyCommand, ports=ports, counts={}, parameters={"routes": routes})

    def elaborate(self, platform):
        m = Module()
        # What is read waits here for its turn to be written, with the address it goes to.
        m.submodules.words = words = ReadStream(
            width=max(width for _, _, width, _ in self._routes),
            tag_bits=ADDRESS_BITS,
            depth=WAITING,
        )
        finished = Signal()
        begins = self.sequence(m, finished)
        asking, asks = self._walk(m, begins, words)
        m.d.comb += finished.eq(~(asking | words.arrived | words.o_valid))
        for number, (source, destination, width, _) in enumerate(self._routes):
            read, write = getattr(self, f"{source}_read"), getattr(self, f"{destination}_write")
            with m.If(self.command.route == number):
                m.d.comb += [
                    read.en.eq(words.port.en),
                    words.port.ready.eq(read.ready),
                    words.port.data.eq(read.data),
                    write.en.eq(words.o_valid),
                    words.o_ready.eq(write.ready),
                ]
            m.d.comb += [
                read.addr.eq(words.port.addr),
                write.addr.eq(words.o_tag),
                write.data.eq(words.o_data[:width]),
                write.mask.eq(~0),
            ]
        self.count(m, entering=asks)
        return m

    def _walk(self, m: Module, begins, words: ReadStream) -> tuple[Signal, Signal]:
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
        for end, address in (("source", words.i_addr), ("destination", words.i_tag)):
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
        return asking, asks
