"""Between the clock of a core and that of the networks."""

from __future__ import annotations

from typing import Any

from amaranth import Module
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from hw.component import EmitOnce
from hw.limits import check_whole
from hw.noc.packet import NetworkPort

__all__ = ["Crossing"]


class Crossing(EmitOnce):
    """Asynchronous FIFOs for the streams of a sub-core, one each.

    The clocks ``sync`` and ``noc`` may have any frequencies and phases. A flit is on the other side
    after two to three cycles of the clock there and one of that here; throughput is a flit in each
    cycle of the slower clock if there are 8 places or more. Both resets are given together.

    Parameters
    ----------
    flit_bits : int
        Of requests.
    depth : int
        Flits in each FIFO, a power of two.

    Members
    -------
    core : In(NetworkPort)
        In the domain ``sync``.
    noc : Out(NetworkPort)
        In the domain ``noc``, as the sub-core itself has it.

    Raises
    ------
    ValueError
        If the depth is no power of two.
    """

    def __init__(self, *, flit_bits: int, depth: int = 8):
        check_whole("Crossing depth", depth, 2)
        if depth & (depth - 1):
            raise ValueError(f"Crossing depth must be a power of two, not {depth!r}")
        self._depth = depth
        port = NetworkPort(flit_bits=flit_bits)
        super().__init__({"core": In(port), "noc": Out(port)}, flit_bits=flit_bits, depth=depth)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for name, member in self.noc.signature.members.items():
            here, there = getattr(self.core, name), getattr(self.noc, name)
            outward = member.flow == Out
            source, sink = (here, there) if outward else (there, here)
            fifo = AsyncFIFO(
                width=len(source.payload.as_value()),
                depth=self._depth,
                w_domain="sync" if outward else "noc",
                r_domain="noc" if outward else "sync",
            )
            m.submodules[name] = fifo
            m.d.comb += [
                fifo.w_en.eq(source.valid),
                fifo.w_data.eq(source.payload),
                source.ready.eq(fifo.w_rdy),
                sink.valid.eq(fifo.r_rdy),
                sink.payload.eq(fifo.r_data),
                fifo.r_en.eq(sink.ready),
            ]
        return m
