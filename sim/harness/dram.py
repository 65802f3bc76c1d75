"""A DRAM for simulation: an AXI4 slave in hardware, so that no Python runs in each cycle."""

from __future__ import annotations

import zlib

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2, exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.dma.axi import DRAM_BITS, OKAY, AxiBus
from backspike.sim.harness.bench import STALL_BITS, Staller
from backspike.sim.harness.noise import SEED_BITS, Noise

__all__ = ["LATENCY_BITS", "SPREAD_BITS", "Dram"]

LATENCY_BITS = 16
"""Bits of the latency and of the clock it is measured by."""
SPREAD_BITS = 8
CHANNELS = ("ar", "r", "aw", "w", "b")
BURSTS = 16
"""Bursts that may be under way, for each of reads and writes."""
SLAVE_ERROR = 2


class Dram(EmitOnce):
    """A memory behind AXI4: bursts in order of their addresses, one beat a cycle.

    Reads and writes go on side by side. Bursts are whole beats at increasing addresses, the only
    ones that :class:`backspike.hw.dma.axi.AxiBus` has. Addresses count modulo the size of the
    memory, which a testbench finds as ``words`` in the instance of this component.

    Parameters
    ----------
    words : int
        Beats that it holds, a power of two.
    data_bits, id_bits : int
        As of :class:`backspike.hw.dma.axi.AxiBus`; there is at least one bit of id.

    Members
    -------
    bus : In(AxiBus)
    latency : In(16)
        Cycles from the address of a read to its first beat, and from the last beat of a write to
        its response, if nothing before them is in the way; at least 2.
    spread : In(8)
        Added to the latency of each burst at random: any number whose bits are in ``spread``.
    stall : In(8)
        Every channel waits at random with probability ``stall`` / 256.
    seed : In(16)
        Of all that is random, from reset on: DRAMs with others do not wait in the same cycles.
    limit : In(40)
        A beat that reaches this byte address or a higher one is answered with SLVERR, and so is the
        write burst that it is in; it is not written.
    """

    _words = Parameter[int]()
    _data_bits = Parameter[int]()
    _id_bits = Parameter[int]()

    def __init__(self, *, words: int, data_bits: int, id_bits: int = 1):
        super().__init__(
            {
                "bus": In(AxiBus(data_bits=data_bits, id_bits=id_bits)),
                "latency": In(LATENCY_BITS),
                "spread": In(SPREAD_BITS),
                "stall": In(STALL_BITS),
                "seed": In(SEED_BITS),
                "limit": In(DRAM_BITS),
            },
            words=words,
            data_bits=data_bits,
            id_bits=id_bits,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self._data_bits, depth=self._words, init=[])
        now = Signal(LATENCY_BITS)
        m.d.sync += now.eq(now + 1)
        run = Signal()  # low in the first cycle, which is when seeds are taken
        m.d.sync += run.eq(1)
        m.submodules.noise = noise = Noise()
        m.d.comb += [noise.seed.eq(self.seed), noise.run.eq(run)]
        # What is pushed in this cycle is due so much later, less the cycle to the output.
        due = (now + self.latency + (noise.o & self.spread) - 1)[:LATENCY_BITS]
        # Whether a channel is not to wait in this cycle.
        may = {channel: self._staller(m, channel, run).ready for channel in CHANNELS}
        self._reads(m, words.read_port(), now, due, may)
        self._writes(m, words.write_port(granularity=8), now, due, may)
        return m

    def _staller(self, m: Module, channel: str, run: Signal) -> Staller:
        m.submodules[f"stall_{channel}"] = staller = Staller()
        m.d.comb += [
            staller.seed.eq(self.seed ^ zlib.crc32(channel.encode()) | 1),  # it must not be 0
            staller.run.eq(run),
            staller.stall.eq(self.stall),
        ]
        return staller

    def _address(self, m: Module, channel: str, due, may):
        """The burst at the head of a queue: its number, beat address, id, and when it is due."""
        low = exact_log2(self._data_bits // 8)
        signals = {
            name: getattr(self.bus, f"{channel}{name}")
            for name in ("valid", "ready", "addr", "len", "id")
        }
        pushed = Cat(signals["addr"][low:], signals["len"], signals["id"], due)
        queue = SyncFIFO(width=len(pushed), depth=BURSTS)
        m.submodules[f"{channel}_queue"] = queue
        m.d.comb += [
            signals["ready"].eq(queue.w_rdy & may[channel]),
            queue.w_en.eq(signals["valid"] & signals["ready"]),
            queue.w_data.eq(pushed),
        ]
        first = Signal(DRAM_BITS - low, name=f"{channel}_first")
        length = Signal(8, name=f"{channel}_length")
        number = Signal(self._id_bits, name=f"{channel}_number")
        when = Signal(LATENCY_BITS, name=f"{channel}_when")
        m.d.comb += Cat(first, length, number, when).eq(queue.r_data)
        # Beats of it that are done, and where the next one is.
        done, place = Signal(8, name=f"{channel}_done"), Signal.like(first, name=f"{channel}_place")
        m.d.comb += place.eq(first + done)
        refused = ((place + 1) << low) > self.limit
        return queue, done, done == length, place, refused, number, when

    def _reads(self, m: Module, port, now, due, may):
        bus = self.bus
        queue, done, last, place, refused, number, when = self._address(m, "ar", due, may)
        goes = Signal()
        m.d.comb += [
            goes.eq(queue.r_rdy & _is_due(now, when) & (~bus.rvalid | bus.rready) & may["r"]),
            queue.r_en.eq(goes & last),
            port.en.eq(goes),
            port.addr.eq(place[: ceil_log2(self._words)]),
            bus.rdata.eq(port.data),  # which stays until the next access
        ]
        with m.If(goes):
            m.d.sync += [
                done.eq(done + 1),
                bus.rvalid.eq(1),
                bus.rlast.eq(last),
                bus.rid.eq(number),
                bus.rresp.eq(Mux(refused, SLAVE_ERROR, OKAY)),
            ]
            with m.If(last):
                m.d.sync += done.eq(0)
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)

    def _writes(self, m: Module, port, now, due, may):
        bus = self.bus
        queue, done, last, place, refused, number, _ = self._address(m, "aw", due, may)
        responses = SyncFIFO(width=1 + self._id_bits + LATENCY_BITS, depth=BURSTS)
        m.submodules.responses = responses
        failed, goes = Signal(), Signal()
        m.d.comb += [
            bus.wready.eq(queue.r_rdy & responses.w_rdy & may["w"]),
            goes.eq(bus.wvalid & bus.wready),
            queue.r_en.eq(goes & last),
            port.en.eq(Mux(goes & ~refused, bus.wstrb, 0)),
            port.addr.eq(place[: ceil_log2(self._words)]),
            port.data.eq(bus.wdata),
            responses.w_en.eq(goes & last),
            responses.w_data.eq(Cat(failed | refused, number, due)),
        ]
        with m.If(goes):
            m.d.sync += [done.eq(done + 1), failed.eq(failed | refused)]
            with m.If(last):
                m.d.sync += [done.eq(0), failed.eq(0)]

        refused_burst, answered, when = Signal(), Signal(self._id_bits), Signal(LATENCY_BITS)
        m.d.comb += [
            Cat(refused_burst, answered, when).eq(responses.r_data),
            responses.r_en.eq(_is_due(now, when) & (~bus.bvalid | bus.bready) & may["b"]),
        ]
        with m.If(responses.r_rdy & responses.r_en):
            m.d.sync += [
                bus.bvalid.eq(1),
                bus.bid.eq(answered),
                bus.bresp.eq(Mux(refused_burst, SLAVE_ERROR, OKAY)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)


def _is_due(now: Signal, when: Signal):
    return (now - when)[LATENCY_BITS - 1] == 0
