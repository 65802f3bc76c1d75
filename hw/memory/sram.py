"""The one memory component: what an ASIC flow replaces by macros and an FPGA flow maps to RAM."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.port import ReadPort, WritePort

__all__ = ["Sram"]


class Sram(EmitOnce):
    """A synchronous memory with one read and one write port, both always ready.

    Latency of a read is one cycle; a read of the address written in the same cycle returns the
    word as it was before. Contents are zero at power-up.

    Parameters
    ----------
    depth : int
        Words, from 2 to 2**16; what an access beyond them does is undefined.
    width : int
        Bits of a word.
    granules : int
        Parts of a word that can be written apart; divides ``width``.

    Members
    -------
    read : In(ReadPort)
    write : In(WritePort)

    Raises
    ------
    ValueError
        If a size is out of its range.
    """

    _depth = Parameter[int]()
    _width = Parameter[int]()
    _granules = Parameter[int]()

    def __init__(self, *, depth: int, width: int, granules: int = 1):
        if not 2 <= depth <= 1 << ADDRESS_BITS:
            raise ValueError(f"Sram depth must be 2 to {1 << ADDRESS_BITS} words, not {depth!r}")
        if granules < 1 or width % granules:
            raise ValueError(f"Sram granules must divide the width {width}, not {granules!r}")
        super().__init__(
            {
                "read": In(ReadPort(width=width)),
                "write": In(WritePort(width=width, granules=granules)),
            },
            depth=depth,
            width=width,
            granules=granules,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self._width, depth=self._depth, init=[])
        read = words.read_port()
        write = words.write_port(granularity=self._width // self._granules)
        used = ceil_log2(self._depth)
        m.d.comb += [
            self.read.ready.eq(1),
            read.en.eq(self.read.en),
            read.addr.eq(self.read.addr[:used]),
            self.read.data.eq(read.data),
            self.write.ready.eq(1),
            write.en.eq(self.write.mask & self.write.en.replicate(self._granules)),
            write.addr.eq(self.write.addr[:used]),
            write.data.eq(self.write.data),
        ]
        return m
