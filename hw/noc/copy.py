"""NOC_DATA inside a core: rows of words from one SRAM to another."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import Out

from hw.engine import Engine
from hw.memory.loops import COUNT_BITS
from hw.memory.port import ADDRESS_BITS, ReadPort, WritePort
from hw.noc.command import CopyCommand

__all__ = ["CopyEngine"]


class CopyEngine(Engine):
    """Copies between SRAMs with words of the same width, by fixed routes.

    Throughput is one word a cycle as both memories allow, also across rows; the first word is
    written two cycles after ``start``. ``busy`` counts words.

    Parameters
    ----------
    routes : tuple of (str, str, int, int)
        Source, destination, bits of a word, and granules of the destination, by number.

    Members
    -------
    <source>_read : Out(ReadPort), <destination>_write : Out(WritePort)
        For the others see :class:`hw.engine.Engine`; nothing is ever skipped, and no status set.
    """

    def __init__(self, *, routes: tuple[tuple[str, str, int, int], ...]):
        self._routes = routes
        ports = {f"{source}_read": Out(ReadPort(width=width)) for source, _, width, _ in routes}
        for _, destination, width, granules in routes:
            ports[f"{destination}_write"] = Out(WritePort(width=width, granules=granules))
        super().__init__(command=CopyCommand, ports=ports, counts={}, parameters={"routes": routes})

    def elaborate(self, platform):
        m = Module()
        command = self.command
        width = max(width for _, _, width, _ in self._routes)
        reading = Signal()  # words are still to be asked for
        # A word asked for in the last cycle is on its way; ``held`` keeps one that is not written.
        coming, held, word, kept = Signal(), Signal(), Signal(width), Signal(width)
        source = _Walk(m, "source", command.source, command.source_row, command)
        target = _Walk(m, "destination", command.destination, command.destination_row, command)
        finished = Signal()
        begins = self.sequence(m, finished)
        asks, writes = Signal(), Signal()
        read_ready, write_ready = Signal(), Signal()
        m.d.comb += [
            asks.eq(reading & (~(coming | held) | write_ready)),
            writes.eq(coming | held),
            finished.eq(~reading & ~writes),
        ]
        with m.If(begins):
            m.d.sync += reading.eq(1)
        with m.Elif(asks & read_ready & source.last):
            m.d.sync += reading.eq(0)
        m.d.sync += [
            coming.eq(asks & read_ready),
            held.eq(writes & ~write_ready),
            kept.eq(word),
        ]
        source.move(m, begins, asks & read_ready)
        target.move(m, begins, writes & write_ready)

        arriving = Signal(width)
        m.d.comb += word.eq(Mux(held, kept, arriving))
        for number, (here, there, bits, _) in enumerate(self._routes):
            chosen = command.route == number
            read, write = getattr(self, f"{here}_read"), getattr(self, f"{there}_write")
            with m.If(chosen):
                m.d.comb += [
                    read.en.eq(asks),
                    write.en.eq(writes),
                    read_ready.eq(read.ready),
                    write_ready.eq(write.ready),
                    arriving.eq(read.data),
                ]
            m.d.comb += [
                read.addr.eq(source.address),
                write.addr.eq(target.address),
                write.data.eq(word[:bits]),
                write.mask.eq(~0),
            ]
        self.count(m, entering=writes & write_ready)
        return m


class _Walk:
    """Goes through the words of rows, on one side of a copy."""

    def __init__(self, m: Module, name: str, base, step, command):
        self._base = base
        self._command = command
        self.address = Signal(ADDRESS_BITS, name=f"{name}_address")
        self._left = Signal(ADDRESS_BITS + 1, name=f"{name}_words_left")
        self._rows = Signal(COUNT_BITS, name=f"{name}_rows_left")
        self._gap = Signal(ADDRESS_BITS, name=f"{name}_gap")
        self._row_over = self._left == 1
        self.last = self._row_over & (self._rows == 1)
        m.d.comb += self._gap.eq(step - command.words + 1)

    def move(self, m: Module, begins, steps) -> None:
        """To the first word, or on by one."""
        with m.If(begins):
            m.d.sync += [
                self.address.eq(self._base),
                self._left.eq(self._command.words),
                self._rows.eq(self._command.rows),
            ]
        with m.Elif(steps):
            m.d.sync += self.address.eq(self.address + Mux(self._row_over, self._gap, 1))
            m.d.sync += self._left.eq(Mux(self._row_over, self._command.words, self._left - 1))
            m.d.sync += self._rows.eq(self._rows - self._row_over)
