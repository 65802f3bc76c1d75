"""AXI4-Lite, by which a host reads and writes registers."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.limits import WORD_BITS

__all__ = [
    "BYTE_BITS",
    "HOST_ADDRESS_BITS",
    "SLAVE_ERROR",
    "WORD_STROBE",
    "AxiLite",
]

HOST_ADDRESS_BITS = 12
"""Bits of an address of a core's register."""
BYTE_BITS = exact_log2(WORD_BITS // 8)
"""Bits of an address that tell the bytes of a word apart."""
WORD_STROBE = (1 << WORD_BITS // 8) - 1
"""The strobe of all bytes of a word."""
SLAVE_ERROR = 2
"""The response to what no register takes; that to all else is OKAY."""


class AxiLite(wiring.Signature):
    """AXI4-Lite with words of 32 bits, as the master sees it; ``prot`` is left out.

    Parameters
    ----------
    address_bits : int
        Of an address in bytes.
    """

    def __init__(self, *, address_bits: int = HOST_ADDRESS_BITS):
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(WORD_BITS),
                "wstrb": Out(WORD_BITS // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(WORD_BITS),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )
