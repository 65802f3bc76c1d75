"""From words and messages to requests, and the replies that say what has become of them."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.noc.instructions import TAG_BITS
from backspike.hw.isa.table import BOXES
from backspike.hw.limits import check_whole
from backspike.hw.noc.flit import SubCoreAddress, flit_layout
from backspike.hw.noc.packet import SRAM_BITS, Head, Kind, Reply, outgoing_word, word_flits

__all__ = ["Sender"]

RETRY_BITS = 5
"""Cycles between a message that found its box full and the next attempt: 2 to this power."""


class _Control(enum.Enum, shape=2):
    """What has become of a message."""

    IDLE = 0
    ASKED = 1
    SENT = 2
    REFUSED = 3


class Sender(EmitOnce):
    """Makes packets of words, and messages, and keeps count of those not replied to.

    A head goes in front of each packet of words, then a flit a cycle. There are at most ``window``
    packets under way. A message that finds its box full is sent again until it finds room.

    Parameters
    ----------
    routes : tuple of (int, int)
        Of each route: bits of a word, and the number of the SRAM that it goes to.
    flit_bits : int
        At least those of a :class:`backspike.hw.noc.packet.Head`.
    window : int

    Members
    -------
    here : In(SubCoreAddress)
        The sender itself.
    there : In(SubCoreAddress), tag_id : In(8)
        The receiver, held while words are under way.
    words : In(stream of outgoing_word)
    asks : In(1), kind : In(Kind), box : In(3), found : In(1)
        Send a message to ``there``, for one cycle while nothing is ``pending``.
    pending : Out(1)
        Something is not replied to yet.
    give_up : In(1)
        The message that is under way is not sent again if it is refused.
    o : Out(stream of flits), i : In(stream of replies)
        Replies are taken in each cycle.

    Raises
    ------
    ValueError
        If a head does not fit in a flit, or the window has no room.
    """

    _routes = Parameter[tuple[tuple[int, int], ...]]()
    _flit_bits = Parameter[int]()
    _window = Parameter[int]()

    def __init__(self, *, routes: tuple[tuple[int, int], ...], flit_bits: int, window: int):
        check_whole("Sender flit_bits", flit_bits, data.Layout.cast(Head).size)
        check_whole("Sender window", window, 1)
        self._width = max(width for width, _ in routes)
        super().__init__(
            {
                "here": In(SubCoreAddress),
                "there": In(SubCoreAddress),
                "tag_id": In(TAG_BITS),
                "words": In(stream.Signature(outgoing_word(self._width))),
                "asks": In(1),
                "kind": In(Kind),
                "box": In(ceil_log2(BOXES)),
                "found": In(1),
                "pending": Out(1),
                "give_up": In(1),
                "o": Out(stream.Signature(flit_layout(flit_bits))),
                "i": In(stream.Signature(Reply)),
            },
            routes=routes,
            flit_bits=flit_bits,
            window=window,
        )

    def elaborate(self, platform):
        m = Module()
        word, o = self.words.payload, self.o
        parts = word_flits(self._width, self._flit_bits)
        part = Signal(max(1, ceil_log2(parts)))
        last_part, sram = Signal.like(part), Signal(SRAM_BITS)
        with m.Switch(word.route):
            for number, (width, target) in enumerate(self._routes):
                with m.Case(number):
                    m.d.comb += [
                        last_part.eq(word_flits(width, self._flit_bits) - 1),
                        sram.eq(target),
                    ]
        # What is presented: a message, the head of a packet, or the next part of a word.
        control, headed = Signal(_Control), Signal()
        under_way = Signal(range(self._window + 1))
        says, room, head, body, goes = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            says.eq(control == _Control.ASKED),
            room.eq((under_way != self._window) & (control == _Control.IDLE)),
            head.eq(self.words.valid & word.first & ~headed & room),
            body.eq(self.words.valid & (headed | ~word.first)),
            o.valid.eq(says | head | body),
            goes.eq(o.valid & o.ready),
            self.words.ready.eq(body & o.ready & (part == last_part)),
        ]
        with m.If(goes & head):
            m.d.sync += headed.eq(1)
        with m.Elif(goes & body):
            # The first word of a packet stays behind its head up to its last part.
            m.d.sync += [
                headed.eq(headed & (part != last_part)),
                part.eq(Mux(part == last_part, 0, part + 1)),
            ]

        fields = self._head(m, says, sram)
        flits = Signal(parts * self._flit_bits)
        m.d.comb += flits.eq(word.data)
        with m.If(body):
            m.d.comb += [
                o.payload.payload.eq(flits.word_select(part, self._flit_bits)),
                o.payload.last.eq(word.last & (part == last_part)),
            ]
        with m.Else():
            m.d.comb += [o.payload.payload.eq(fields), o.payload.last.eq(says)]

        self._replies(m, control, under_way, goes & head)
        return m

    def _head(self, m: Module, says, sram) -> Signal:
        """The head of a message (``says``), or of a packet of words for the SRAM."""
        word = self.words.payload
        fields, message = Signal(Head), Signal(Head)
        with m.If(self.asks):
            # It may be under way for longer than the instruction that it is of.
            m.d.sync += [
                message.destination.eq(self.there),
                message.tag_id.eq(self.tag_id),
                message.kind.eq(self.kind),
                message.box.eq(self.box),
                message.found.eq(self.found),
            ]
        m.d.comb += [
            fields.eq(message),
            fields.source.eq(self.here),
            fields.sram.eq(sram),
            fields.address.eq(word.address),
        ]
        with m.If(~says):
            m.d.comb += [
                fields.destination.eq(self.there),
                fields.tag_id.eq(self.tag_id),
                fields.kind.eq(Kind.DATA),
            ]
        return fields

    def _replies(self, m: Module, control, under_way, begins) -> None:
        """Takes replies: to packets, of which one ``begins`` now, or to a message.

        A message that was refused is sent again.
        """
        replied, wait, given_up = Signal(), Signal(RETRY_BITS), Signal()
        m.d.comb += [
            self.i.ready.eq(1),
            replied.eq(self.i.valid & (control == _Control.IDLE)),
            self.pending.eq((under_way != 0) | (control != _Control.IDLE)),
        ]
        m.d.sync += [
            under_way.eq(under_way + begins - replied),
            given_up.eq((given_up | self.give_up) & (control != _Control.IDLE)),
        ]
        with m.Switch(control):
            with m.Case(_Control.IDLE):
                with m.If(self.asks):
                    m.d.sync += control.eq(_Control.ASKED)
            with m.Case(_Control.ASKED):
                with m.If(self.o.ready):
                    m.d.sync += control.eq(_Control.SENT)
            with m.Case(_Control.SENT):
                m.d.sync += wait.eq(0)
                with m.If(self.i.valid):
                    m.d.sync += control.eq(
                        Mux(self.i.payload.full, _Control.REFUSED, _Control.IDLE)
                    )
            with m.Case(_Control.REFUSED):
                m.d.sync += wait.eq(wait + 1)
                with m.If(given_up):
                    m.d.sync += control.eq(_Control.IDLE)
                with m.Elif(wait.all()):
                    m.d.sync += control.eq(_Control.ASKED)
