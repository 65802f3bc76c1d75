"""Which words of a gradient SRAM hold anything but zeros, readable many at a time."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.port import ReadPort

__all__ = ["NonzeroMap"]


class NonzeroMap(EmitOnce):
    """One bit per word of an SRAM, set when a word with a value other than +-0 is written.

    A read at address a returns the bits of words a to a + pixels - 1, at any alignment: what lets
    BP skip silent du without reading them. Latency of a read one cycle.

    Parameters
    ----------
    depth : int
        Words of the SRAM it follows; a multiple of ``pixels``.
    pixels : int
        Bits of a read, a power of two.
    lanes, width : int
        Values of a word of that SRAM, and bits of each; the top one is the sign.

    Members
    -------
    read : In(ReadPort)
    write : In(1), write_addr : In(ADDRESS_BITS), write_data : In(lanes * width)
        The writes to the SRAM, whole words.

    Raises
    ------
    ValueError
        If ``depth`` is no multiple of ``pixels``.
    """

    _pixels = Parameter[int]()
    _lanes = Parameter[int]()
    _width = Parameter[int]()

    def __init__(self, *, depth: int, pixels: int, lanes: int, width: int):
        if depth % pixels:
            raise ValueError(f"NonzeroMap depth must be a multiple of {pixels}, not {depth!r}")
        self._rows = max(2, depth // pixels)
        super().__init__(
            {
                "read": In(ReadPort(width=pixels)),
                "write": In(1),
                "write_addr": In(ADDRESS_BITS),
                "write_data": In(lanes * width),
            },
            depth=depth,
            pixels=pixels,
            lanes=lanes,
            width=width,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self._pixels, depth=self._rows, init=[])
        # A row is written as a whole, with one bit of it changed: a memory whose bits are written
        # apart takes four times the LUTs.
        write, before = words.write_port(), words.read_port(domain="comb")
        here, after = words.read_port(), words.read_port()
        low = ceil_log2(self._pixels)
        row_bits = ceil_log2(self._rows)
        row = self.read.addr[low : low + row_bits]
        offset, bit = Signal(low), Signal(self._pixels)
        magnitudes = Cat(
            self.write_data.word_select(lane, self._width)[: self._width - 1]
            for lane in range(self._lanes)
        )
        m.d.comb += [
            self.read.ready.eq(1),
            here.en.eq(self.read.en),
            after.en.eq(self.read.en),
            here.addr.eq(row),
            after.addr.eq(row + 1),
            self.read.data.eq(Cat(here.data, after.data) >> offset),
            write.addr.eq(self.write_addr[low : low + row_bits]),
            write.en.eq(self.write),
            before.addr.eq(write.addr),
            bit.eq(1 << self.write_addr[:low]),
            write.data.eq(Mux(magnitudes.any(), before.data | bit, before.data & ~bit)),
        ]
        with m.If(self.read.en):
            m.d.sync += offset.eq(self.read.addr[:low])
        return m
