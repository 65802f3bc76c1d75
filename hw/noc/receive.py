"""From requests to words in SRAMs and messages in boxes, each with its reply."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.table import BOXES
from backspike.hw.limits import ADDRESS_BITS, check_whole
from backspike.hw.memory.port import WritePort
from backspike.hw.noc.flit import flit_layout
from backspike.hw.noc.packet import Head, Kind, Reply, word_flits

__all__ = ["Receiver"]


class Receiver(EmitOnce):
    """Takes requests, one after the other, a flit a cycle as its SRAMs allow.

    Nothing that it waits for depends on other requests: a word waits for its SRAM, a message that
    finds its box full is refused, and replies are always taken at last. So requests never hold each
    other up. The reply comes when the last word is written; words for an SRAM that takes none are
    dropped.

    Parameters
    ----------
    srams : tuple of (int, str, int, int)
        SRAMs that words may go to: number, name, bits of a word, and granules.
    flit_bits : int

    Members
    -------
    i : In(stream of flits), o : Out(stream of replies)
    <name>_write : Out(WritePort)
        Written in whole words.
    signal : Out(8), full : In(8), messages : In(8)
        Put a message in a box; those that are full; and those that somebody else puts one in now.
    found : Out(1)
        For one cycle: somebody has found a status set.

    Raises
    ------
    ValueError
        If a head does not fit in a flit.
    """

    _srams = Parameter[tuple[tuple[int, str, int, int], ...]]()
    _flit_bits = Parameter[int]()

    def __init__(self, *, srams: tuple[tuple[int, str, int, int], ...], flit_bits: int):
        check_whole("Receiver flit_bits", flit_bits, data.Layout.cast(Head).size)
        super().__init__(
            {
                "i": In(stream.Signature(flit_layout(flit_bits))),
                "o": Out(stream.Signature(Reply)),
                **{
                    f"{name}_write": Out(WritePort(width=width, granules=granules))
                    for _, name, width, granules in srams
                },
                "signal": Out(BOXES),
                "full": In(BOXES),
                "messages": In(BOXES),
                "found": Out(1),
            },
            srams=srams,
            flit_bits=flit_bits,
        )

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        head, headed = Signal(Head), Signal()
        here = Signal(Head)  # the head that is coming
        m.d.comb += here.eq(i.payload.payload)

        # A reply waits in a register, so that the next request need not wait for it.
        free, box = Signal(), Signal(BOXES)
        control, collides, refused = Signal(), Signal(), Signal()
        m.d.comb += [
            free.eq(~o.valid | o.ready),
            box.eq(1 << here.box),
            control.eq(i.valid & ~headed & (here.kind != Kind.DATA)),
            collides.eq((box & self.messages).any()),
            refused.eq((box & self.full).any()),
            self.signal.eq(Mux(control & free & ~collides & ~refused, box, 0)),
            self.found.eq(self.signal.any() & (here.kind == Kind.COLLECT) & here.found),
        ]

        # Parts of a word that came before.
        widest = max(width for _, _, width, _ in self._srams)
        parts = word_flits(widest, self._flit_bits)
        part, last_part = Signal(max(1, ceil_log2(parts))), Signal(max(1, ceil_log2(parts)))
        latest = i.payload.payload
        if parts > 1:
            gathered = Signal((parts - 1) * self._flit_bits)
            latest = Cat(gathered, i.payload.payload)
            with m.If(i.valid & i.ready):
                m.d.sync += gathered.eq(latest[self._flit_bits :])
        whole, written, replies = Signal(), Signal(), Signal()
        address = Signal(ADDRESS_BITS)
        m.d.comb += [
            whole.eq(i.valid & headed & (part == last_part) & (free | ~i.payload.last)),
            written.eq(1),
            replies.eq((control | headed) & i.valid & i.ready & i.payload.last),
        ]
        self._write(m, head.sram, latest, address, whole, last_part, written)
        with m.If(~headed):
            m.d.comb += i.ready.eq(Mux(here.kind == Kind.DATA, 1, free & ~collides))
            with m.If(i.valid & (here.kind == Kind.DATA) & ~i.payload.last):
                m.d.sync += [headed.eq(1), head.eq(here), address.eq(here.address), part.eq(0)]
        with m.Else():
            m.d.comb += i.ready.eq((part != last_part) | (written & (free | ~i.payload.last)))
            with m.If(i.valid & i.ready):
                m.d.sync += part.eq(part + 1)
                with m.If(part == last_part):
                    m.d.sync += [part.eq(0), address.eq(address + 1)]
                with m.If(i.payload.last):
                    m.d.sync += headed.eq(0)
        with m.If(replies):
            m.d.sync += [
                o.valid.eq(1),
                o.payload.destination.eq(Mux(headed, head.source, here.source)),
                o.payload.full.eq(~headed & refused),
            ]
        with m.Elif(o.ready):
            m.d.sync += o.valid.eq(0)
        return m

    def _write(self, m: Module, sram, latest, address, whole, last_part, written) -> None:
        """Writes ``whole`` words to the SRAM; drives their last part, and whether it takes one."""
        for number, name, width, _ in self._srams:
            port = getattr(self, f"{name}_write")
            flits = word_flits(width, self._flit_bits)
            with m.If(sram == number):
                m.d.comb += [
                    last_part.eq(flits - 1),
                    port.en.eq(whole),
                    written.eq(port.ready),
                ]
            first = len(latest) - flits * self._flit_bits
            m.d.comb += [
                port.addr.eq(address),
                port.data.eq(latest[first : first + width]),
                port.mask.eq(~0),
            ]
