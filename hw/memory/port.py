"""Signatures of the ports between an engine and the SRAMs it works on."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backspike.hw.limits import ADDRESS_BITS

__all__ = ["ReadPort", "WritePort"]


class ReadPort(wiring.Signature):
    """Read access to one SRAM, as its client sees it.

    An access takes place in each cycle with ``en & ready``; ``data`` is valid in the cycle after
    it, and in no other. ``ready`` may depend on the address of its client and on other clients,
    never on the client's ``en``; clients' ``en`` and ``addr`` never depend on ``ready``. So it is
    with :class:`WritePort`, too.

    Parameters
    ----------
    width : int
        Bits of a word.

    Members
    -------
    en, addr : Out
        Request and word address.
    ready : In
        The memory (or its arbiter) takes the request in this cycle.
    data : In
        The word asked for one cycle ago.
    """

    def __init__(self, *, width: int):
        super().__init__(
            {
                "en": Out(1),
                "addr": Out(ADDRESS_BITS),
                "ready": In(1),
                "data": In(width),
            }
        )


class WritePort(wiring.Signature):
    """Write access to one SRAM, as its client sees it; takes place in cycles with ``en & ready``.

    Parameters
    ----------
    width : int
        Bits of a word.
    granules : int
        How many equal parts of a word can be written apart from each other.

    Members
    -------
    en, addr, data : Out
        Request, word address and the word to write.
    mask : Out
        The parts of the word that are written, one bit each.
    ready : In
        The memory (or its arbiter) takes the request in this cycle.
    """

    def __init__(self, *, width: int, granules: int = 1):
        super().__init__(
            {
                "en": Out(1),
                "addr": Out(ADDRESS_BITS),
                "data": Out(width),
                "mask": Out(granules),
                "ready": In(1),
            }
        )
