"""What packets hold: the head of a request, a reply, and the words that become requests."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.isa.noc.instructions import TAG_BITS
from backspike.hw.isa.table import BOXES
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.noc.flit import SubCoreAddress, flit_layout

__all__ = ["SRAM_BITS", "Head", "Kind", "NetworkPort", "Reply", "outgoing_word", "word_flits"]

SRAM_BITS = 3
"""Bits of the number of an SRAM in its sub-core: :data:`backspike.hw.isa.table.SRAMS`."""


class Kind(enum.Enum, shape=2):
    """What a request is.

    DATA has words behind its head, each in as many flits as it takes, its lowest bits first; the
    others are a head alone.
    """

    DATA = 0
    SIGNAL = 1
    COLLECT = 2


class Head(data.Struct):
    """The payload of the first flit of a request, from its lowest bit on."""

    destination: SubCoreAddress
    source: SubCoreAddress
    kind: Kind
    tag_id: TAG_BITS  # connection of the sender; for who looks at waves
    sram: SRAM_BITS  # DATA: where the words go
    address: ADDRESS_BITS  # DATA: of the first word, the others lie behind it
    box: ceil_log2(BOXES)  # SIGNAL, COLLECT: that the message goes to
    found: 1  # COLLECT: a status is set


class Reply(data.Struct):
    """The payload of a reply: a request is done, or was refused since its box is full."""

    destination: SubCoreAddress
    full: 1


def word_flits(width: int, flit_bits: int) -> int:
    """Flits that a word takes."""
    return -(-width // flit_bits)


def outgoing_word(width: int) -> data.StructLayout:
    """A word on its way from an SRAM to the network, by its route.

    ``first`` and ``last`` are those of a packet, ``address`` is where the word goes to.
    """
    return data.StructLayout(
        {"data": width, "route": SRAM_BITS, "address": ADDRESS_BITS, "first": 1, "last": 1}
    )


class NetworkPort(wiring.Signature):
    """How a sub-core takes part in both networks, as it sees them.

    Parameters
    ----------
    flit_bits : int
        Of the payload of a request's flit.
    """

    def __init__(self, *, flit_bits: int):
        requests = stream.Signature(flit_layout(flit_bits))
        replies = stream.Signature(flit_layout(Reply.as_shape().size))
        super().__init__(
            {
                "requests_o": Out(requests),
                "requests_i": In(requests),
                "replies_o": Out(replies),
                "replies_i": In(replies),
            }
        )
