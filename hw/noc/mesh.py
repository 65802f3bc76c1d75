"""Routers joined to a mesh."""

from __future__ import annotations

from itertools import product
from typing import Any

from amaranth import Module
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import check_whole
from backspike.hw.noc.flit import COORDINATE_BITS, flit_layout
from backspike.hw.noc.link import Link, LinkIn, LinkOut
from backspike.hw.noc.route import LOCAL, STEPS, RouterPort
from backspike.hw.noc.router import Router

__all__ = ["RouterMesh", "edge_links"]

MOST = 1 << COORDINATE_BITS


def edge_links(*, rows: int, columns: int, payload_bits: int, credits: int) -> dict[str, Any]:
    """The members by which a mesh is joined to others: see :class:`RouterMesh`."""
    link = Link(payload_bits=payload_bits, credits=credits)
    members = {}
    for side in STEPS:
        count = rows if side in (RouterPort.EAST, RouterPort.WEST) else columns
        members[f"{side.name.lower()}_out"] = Out(link).array(count)
        members[f"{side.name.lower()}_in"] = In(link).array(count)
    return members


class RouterMesh(EmitOnce):
    """One network of a chip: ``rows`` x ``columns`` routers, one for each core.

    A chip has two, one for packets that may have to wait for replies, and one for replies. For
    latency and throughput of each hop see :class:`backspike.hw.noc.router.Router`.

    Parameters
    ----------
    rows, columns : int
        From 1 to 16.
    payload_bits, depth : int
        Of its routers.
    credits : int
        Of the links at the edges, by which chips are joined to a larger mesh; without them, 0, a
        packet that leaves the chip is lost.

    Members
    -------
    x0 : In(4), y0 : In(4)
        Coordinates of the chip's north-western core in the whole mesh; constant.
    i : In(stream of flits) x rows x columns x 2, o : Out(stream of flits) x rows x columns x 2
        Of each core, from north to south and from west to east: its FP, then its BP sub-core.
    <side>_out : Out(Link) x n, <side>_in : In(Link) x n
        With credits only: ``north`` and ``south``, from west to east, ``east`` and ``west``, from
        north to south. A pair is joined to the pair of the opposite side of the next chip.

    Raises
    ------
    ValueError
        If a size is out of its range.
    """

    _rows = Parameter[int]()
    _columns = Parameter[int]()

    def __init__(self, *, rows: int, columns: int, payload_bits: int, depth: int, credits: int = 0):
        check_whole("rows", rows, 1, MOST)
        check_whole("columns", columns, 1, MOST)
        self._router = {"payload_bits": payload_bits, "depth": depth}
        self._link = {"payload_bits": payload_bits, "credits": check_whole("credits", credits, 0)}
        flits = stream.Signature(flit_layout(payload_bits))
        members = {
            "x0": In(COORDINATE_BITS),
            "y0": In(COORDINATE_BITS),
            "i": In(flits).array(rows, columns, len(LOCAL)),
            "o": Out(flits).array(rows, columns, len(LOCAL)),
        }
        if credits:
            members |= edge_links(rows=rows, columns=columns, **self._link)
        super().__init__(
            members,
            rows=rows,
            columns=columns,
            payload_bits=payload_bits,
            depth=depth,
            credits=credits,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        routers = {
            place: Router(**self._router)
            for place in product(range(self._columns), range(self._rows))
        }
        for (x, y), router in routers.items():
            m.submodules[f"router_{x}_{y}"] = router
            m.d.comb += [router.x.eq(self.x0 + x), router.y.eq(self.y0 + y)]
            for number, port in enumerate(LOCAL):
                connect(m, flipped(self.i[y][x][number]), router.i[port])
                connect(m, router.o[port], flipped(self.o[y][x][number]))
            for side, (dx, dy) in STEPS.items():
                neighbour = routers.get((x + dx, y + dy))
                if neighbour is not None:
                    connect(m, router.o[side], neighbour.i[side.opposite])
                elif self._link["credits"]:
                    self._join(m, router, side, y if dx else x)
                else:
                    m.d.comb += router.o[side].ready.eq(1)
        return m

    def _join(self, m: Module, router: Router, side: RouterPort, number: int) -> None:
        """Both directions of a link at the edge."""
        name = side.name.lower()
        sender, receiver = LinkOut(**self._link), LinkIn(**self._link)
        m.submodules[f"{name}_sender_{number}"] = sender
        m.submodules[f"{name}_receiver_{number}"] = receiver
        connect(m, router.o[side], sender.i)
        connect(m, sender.link, flipped(getattr(self, f"{name}_out")[number]))
        connect(m, flipped(getattr(self, f"{name}_in")[number]), receiver.link)
        connect(m, receiver.o, router.i[side])
