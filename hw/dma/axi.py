"""AXI4, as far as a core speaks it: bursts of whole beats at increasing addresses."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "DRAM_BITS",
    "ERROR_BIT",
    "INCREMENT",
    "LENGTH_BITS",
    "OKAY",
    "AxiBus",
    "AxiRead",
    "AxiWrite",
    "join",
]

DRAM_BITS = 40
"""Bits of an address in DRAM, which counts bytes."""
LENGTH_BITS = 8
"""Bits of the length of a burst: its beats less 1."""
INCREMENT = 1
"""The burst type INCR."""
OKAY = 0
"""The one response that is no error: exclusive accesses are not made."""
ERROR_BIT = 1
"""The bit of a response that is set in both errors, SLVERR and DECERR."""


def _read(data_bits: int, id_bits: int) -> dict:
    ids = {"arid": Out(id_bits), "rid": In(id_bits)} if id_bits else {}
    return {
        **ids,
        "araddr": Out(DRAM_BITS),
        "arlen": Out(LENGTH_BITS),
        "arsize": Out(3),
        "arburst": Out(2),
        "arvalid": Out(1),
        "arready": In(1),
        "rdata": In(data_bits),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write(data_bits: int, id_bits: int) -> dict:
    ids = {"awid": Out(id_bits), "bid": In(id_bits)} if id_bits else {}
    return {
        **ids,
        "awaddr": Out(DRAM_BITS),
        "awlen": Out(LENGTH_BITS),
        "awsize": Out(3),
        "awburst": Out(2),
        "awvalid": Out(1),
        "awready": In(1),
        "wdata": Out(data_bits),
        "wstrb": Out(data_bits // 8),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


class AxiRead(wiring.Signature):
    """The read channels, as the master sees them.

    Names are the standard's; cache, prot, lock and qos are left out, and are 0 where a slave asks.

    Parameters
    ----------
    data_bits : int
        Of a beat, a power of two from 32.
    id_bits : int
        With 0 there are no ids: all answers come in order.
    """

    def __init__(self, *, data_bits: int, id_bits: int = 0):
        super().__init__(_read(data_bits, id_bits))


class AxiWrite(wiring.Signature):
    """The write channels, as the master sees them; see :class:`AxiRead`."""

    def __init__(self, *, data_bits: int, id_bits: int = 0):
        super().__init__(_write(data_bits, id_bits))


class AxiBus(wiring.Signature):
    """All five channels, as the master sees them; see :class:`AxiRead`."""

    def __init__(self, *, data_bits: int, id_bits: int = 0):
        super().__init__(_read(data_bits, id_bits) | _write(data_bits, id_bits))


def join(m: Module, port: wiring.Signature, inner: Any, outer: Any) -> None:
    """Gives ``outer`` what the members of ``port`` are in ``inner``, and takes what they get."""
    for name, member in port.members.items():
        here, there = getattr(inner, name), getattr(outer, name)
        m.d.comb += there.eq(here) if member.flow == Out else here.eq(there)
