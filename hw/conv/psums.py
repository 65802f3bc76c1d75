"""How an array gets at the psums of the pixels it works on, each read and written once a group."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from backspike.hw.arith.format import PSUM_BITS
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.stream import ReadStream, WriteQueue

__all__ = ["PsumAccess"]

DEPTH = 32
"""Pixels that may be between request and write; a RAM of LUTs is no larger for 32 than for 1."""


class PsumAccess(EmitOnce):
    """Prefetches old psums and writes new ones, so that the array between never waits inside.

    A pixel is requested in the order of the walk, claimed when its old psum has arrived, and ends
    with a push. Psums of a group are read only when all writes of the group before are done; this
    is the one hazard there is, since a group visits each pixel once.

    Parameters
    ----------
    lanes : int
        Psums of a word, 64 bits each.

    Members
    -------
    i_valid, i_ready, i_addr
        Requests of the pixels.
    i_read, i_write, i_group_last : In(1)
        The old psum is wanted; a new one will be pushed; it is the last of its group.
    claimable : Out(1), claim : In(1)
        An old psum is there for the next pixel that wants one; that pixel enters the array.
    pop : In(1), old : Out
        Oldest claimed psums, as of now; they are taken.
    push : In(1), push_addr, new : In
        New psums.
    idle : Out(1)
        No pixel that will be written is anywhere between request and memory.
    read : Out(ReadPort), write : Out(WritePort)
    """

    _lanes = Parameter[int]()

    def __init__(self, *, lanes: int):
        width = self._width = lanes * PSUM_BITS
        super().__init__(
            {
                "i_valid": In(1),
                "i_ready": Out(1),
                "i_addr": In(ADDRESS_BITS),
                "i_read": In(1),
                "i_write": In(1),
                "i_group_last": In(1),
                "claimable": Out(1),
                "claim": In(1),
                "pop": In(1),
                "old": Out(width),
                "push": In(1),
                "push_addr": In(ADDRESS_BITS),
                "new": In(width),
                "idle": Out(1),
                "read": Out(ReadPort(width=width)),
                "write": Out(WritePort(width=width, granules=lanes)),
            },
            lanes=lanes,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = ReadStream(width=self._width, depth=DEPTH // 2)
        m.submodules.writes = writes = WriteQueue(
            width=self._width, granules=self._lanes, depth=DEPTH
        )
        connect(m, reads.port, flipped(self.read))
        connect(m, writes.port, flipped(self.write))
        # Set between a group's last request and the moment when all its writes are done.
        settling = Signal()
        # Whether the memory is ready decides on nothing that it is asked for.
        may_go, accepted = Signal(), Signal()
        m.d.comb += [
            may_go.eq(
                (~self.i_read | ~(settling & ~writes.idle)) & (writes.available | ~self.i_write)
            ),
            self.i_ready.eq(may_go & (reads.i_ready | ~self.i_read)),
            accepted.eq(self.i_valid & self.i_ready),
            reads.i_valid.eq(self.i_valid & self.i_read & may_go),
            reads.i_addr.eq(self.i_addr),
            reads.i_read.eq(1),
            writes.reserve.eq(accepted & self.i_write),
            writes.push.eq(self.push),
            writes.addr.eq(self.push_addr),
            writes.data.eq(self.new),
            writes.mask.eq(~0),
            self.idle.eq(writes.idle),
            reads.o_ready.eq(self.pop),
            self.old.eq(reads.o_data),
        ]
        with m.If(accepted & self.i_group_last):
            m.d.sync += settling.eq(1)
        with m.Elif(writes.idle):
            m.d.sync += settling.eq(0)
        # Old psums that have arrived and belong to no pixel in the array yet.
        free = Signal(range(DEPTH))
        m.d.comb += self.claimable.eq(free != 0)
        m.d.sync += free.eq(free + reads.arrived - self.claim)
        return m
