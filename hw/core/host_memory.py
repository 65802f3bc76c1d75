"""DRAM for the host, word by word: how programs and data get there if nothing else leads to it."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.core.axi_lite import BYTE_BITS, WORD_STROBE
from backspike.hw.dma.axi import DRAM_BITS, INCREMENT, OKAY, AxiRead, AxiWrite
from backspike.hw.limits import WORD_BITS

__all__ = ["HostMemory", "WordAccess"]


class WordAccess(wiring.Signature):
    """How words of DRAM are asked for, one at a time, as the one who asks sees it.

    Members
    -------
    write : Out(1), read : Out(1), address : Out(DRAM_BITS), word : Out(WORD_BITS)
        Held until it is done, but for the address; a write goes first. The address is a multiple of
        4.
    written : In(1), found : In(1)
        It is done in this cycle.
    value : In(WORD_BITS), error : In(1)
        What was read, in the cycle with ``found``; and that the bus answered with an error.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "write": Out(1),
                "read": Out(1),
                "address": Out(DRAM_BITS),
                "word": Out(WORD_BITS),
                "written": In(1),
                "found": In(1),
                "value": In(WORD_BITS),
                "error": In(1),
            }
        )


class HostMemory(EmitOnce):
    """Reads or writes one word of 32 bits at a time, as a burst of one beat.

    Parameters
    ----------
    bus_bits : int
        Bits of a beat, a power of two from 32.

    Members
    -------
    host : In(WordAccess)
    read_bus : Out(AxiRead), write_bus : Out(AxiWrite)
    """

    _bus_bits = Parameter[int]()

    def __init__(self, *, bus_bits: int):
        super().__init__(
            {
                "host": In(WordAccess()),
                "read_bus": Out(AxiRead(data_bits=bus_bits, id_bits=1)),
                "write_bus": Out(AxiWrite(data_bits=bus_bits)),
            },
            bus_bits=bus_bits,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size, words = exact_log2(self._bus_bits // 8), self._bus_bits // WORD_BITS
        # The pointer that it comes from may be written meanwhile.
        place = Signal(DRAM_BITS)
        aligned = Cat(Const(0, size), place[size:])
        part = place[BYTE_BITS:size] if words > 1 else Const(0, 1)
        host, read, write = self.host, self.read_bus, self.write_bus
        # Address and word are there once each; then comes the answer.
        asked, gave, busy = Signal(), Signal(), Signal()
        goes = Signal()
        m.d.comb += goes.eq(~busy & (host.write | host.read))
        reading = Signal()
        with m.If(goes):
            m.d.sync += [
                busy.eq(1),
                asked.eq(0),
                gave.eq(0),
                reading.eq(~host.write),
                place.eq(host.address),
            ]
        with m.Elif(host.written | host.found):
            m.d.sync += busy.eq(0)
        with m.If(busy & Mux(reading, read.arready, write.awready)):
            m.d.sync += asked.eq(1)
        with m.If(busy & write.wready):
            m.d.sync += gave.eq(1)
        for bus, channel, mine in ((read, "ar", reading), (write, "aw", ~reading)):
            m.d.comb += [
                getattr(bus, f"{channel}valid").eq(busy & mine & ~asked),
                getattr(bus, f"{channel}addr").eq(aligned),
                getattr(bus, f"{channel}size").eq(size),
                getattr(bus, f"{channel}burst").eq(INCREMENT),
            ]
        m.d.comb += [
            write.wvalid.eq(busy & ~reading & ~gave),
            write.wdata.eq(host.word.replicate(words)),
            write.wstrb.eq(Const(WORD_STROBE, self._bus_bits // 8) << (part << BYTE_BITS)),
            write.wlast.eq(1),
            write.bready.eq(1),
            read.rready.eq(1),
            host.written.eq(busy & ~reading & write.bvalid),
            host.found.eq(busy & reading & read.rvalid),
            host.value.eq(read.rdata.word_select(part, WORD_BITS)),
            host.error.eq(Mux(reading, read.rresp, write.bresp) != OKAY),
        ]
        return m
