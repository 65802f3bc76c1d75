"""The table of connections of a sub-core."""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth import Module, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.noc.instructions import TAG_BITS
from backspike.hw.limits import check_whole
from backspike.hw.noc.flit import COORDINATE_BITS, SubCoreAddress

__all__ = ["EXTENT_BITS", "ConnectionTable", "ConnectionWrite", "MeshSize"]

EXTENT_BITS = COORDINATE_BITS + 1


class MeshSize(data.Struct):
    """Size of the whole mesh, over all chips."""

    columns: EXTENT_BITS
    rows: EXTENT_BITS


class ConnectionWrite(data.Struct):
    """What the host gives a tag: another end, or none."""

    tag_id: TAG_BITS
    there: SubCoreAddress
    valid: 1


class ConnectionTable(EmitOnce):
    """The other end of each tag. After reset no tag has one.

    Parameters
    ----------
    connections : int
        Tags that can have one: those below, a power of two.

    Members
    -------
    write : In(1), entry : In(ConnectionWrite)
        One for a tag that has no place in the table is ignored.
    extent : In(MeshSize)
    tag_id : In(8), there : Out(SubCoreAddress), connected : Out(1)
        The other end of a tag in the same cycle, and whether there is one within the mesh.

    Raises
    ------
    ValueError
        If there can be no table of that size.
    """

    _connections = Parameter[int]()

    def __init__(self, *, connections: int):
        check_whole("ConnectionTable connections", connections, 1, 1 << TAG_BITS)
        if connections & (connections - 1):
            raise ValueError(
                f"ConnectionTable connections must be a power of two, not {connections!r}"
            )
        super().__init__(
            {
                "write": In(1),
                "entry": In(ConnectionWrite),
                "extent": In(MeshSize),
                "tag_id": In(TAG_BITS),
                "there": Out(SubCoreAddress),
                "connected": Out(1),
            },
            connections=connections,
        )

    def elaborate(self, platform):
        m = Module()
        bits = ceil_log2(self._connections)
        m.submodules.ends = ends = Memory(shape=SubCoreAddress, depth=self._connections, init=[])
        write, read = ends.write_port(), ends.read_port(domain="comb")
        valid = Signal(self._connections)
        wanted = self.entry.tag_id
        m.d.comb += [
            write.en.eq(self.write & (wanted < self._connections)),
            write.addr.eq(wanted[:bits]),
            write.data.eq(self.entry.there),
            read.addr.eq(self.tag_id[:bits]),
            self.there.eq(read.data),
            self.connected.eq(
                valid.bit_select(self.tag_id[:bits], 1)
                & (self.tag_id < self._connections)
                & (self.there.x < self.extent.columns)
                & (self.there.y < self.extent.rows)
            ),
        ]
        with m.If(write.en):
            m.d.sync += valid.bit_select(wanted[:bits], 1).eq(self.entry.valid)
        return m
