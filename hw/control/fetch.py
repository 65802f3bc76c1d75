"""Program words from DRAM, through a small buffer that keeps what loops come back to."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.dma.axi import DRAM_BITS, INCREMENT, OKAY, AxiRead
from backspike.hw.limits import WORD_BITS
from backspike.hw.memory.sram import Sram

__all__ = ["POSITION_BITS", "PROGRAM_ALIGNMENT", "ProgramFetch"]

PROGRAM_ALIGNMENT = 256
"""Bytes that the address of a program is a multiple of, and that a burst of it has at most."""
POSITION_BITS = 20
"""Bits of a position in a program, which counts words: of 4 MB, at most."""


class ProgramFetch(EmitOnce):
    """Reads a program word by word, ahead of its use, and jumps back.

    The buffer is a window of the last ``beats`` bus beats of the program. It runs ahead by at most
    half of them, so that a loop of up to the other half is read from DRAM once; a jump to what is
    no longer there starts the window anew. Throughput is one word a cycle, from the cycle after
    ``start`` or ``jump`` if the word is in the buffer.

    Parameters
    ----------
    bus_bits : int
        Bits of a beat, a power of two from 32.
    beats : int
        Beats that the buffer holds: a power of two, at least 8 bursts.
    burst : int
        Most beats of a burst, a power of two; fewer where that were more than 256 bytes. A burst
        lies in a stretch of so many beats, so it crosses no 4 KB boundary.

    Members
    -------
    start : In(1), base : In(40)
        Begin at word 0 of the program at byte ``base`` in DRAM, a multiple of 256.
    stop : In(1)
        Ask for no more; what is on its way is still taken.
    valid : Out(1), word : Out(32), error : Out(1), take : In(1)
        The word at ``position``, or that the bus answered with an error when asked for it; it is
        taken with ``take``, allowed while valid.
    position : Out(20)
    jump : In(1), target : In(20)
        Go on at ``target``, a position that has been there before; not together with ``take``.
    bus : Out(AxiRead)
    """

    _beats = Parameter[int]()
    _burst = Parameter[int]()
    _bus_bits = Parameter[int]()

    def __init__(self, *, bus_bits: int, beats: int = 64, burst: int = 4):
        burst = min(burst, PROGRAM_ALIGNMENT * 8 // bus_bits)
        self._words = bus_bits // WORD_BITS
        super().__init__(
            {
                "start": In(1),
                "base": In(DRAM_BITS),
                "stop": In(1),
                "valid": Out(1),
                "word": Out(WORD_BITS),
                "error": Out(1),
                "take": In(1),
                "position": Out(POSITION_BITS),
                "jump": In(1),
                "target": In(POSITION_BITS),
                "bus": Out(AxiRead(data_bits=bus_bits)),
            },
            bus_bits=bus_bits,
            beats=beats,
            burst=burst,
        )

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._words)
        beat_bits = POSITION_BITS - low + 1
        # One more bit tells whether the bus gave the beat with an error.
        m.submodules.buffer = buffer = Sram(depth=self._beats, width=self._bus_bits + 1)
        going, flushing, origin = Signal(), Signal(), Signal(DRAM_BITS)
        first = Signal(beat_bits)  # of the window
        asked = Signal(beat_bits)  # beats in front of this one are in the buffer or on their way
        there = Signal(beat_bits)  # and in front of this one, in the buffer
        following, wanted = Signal(POSITION_BITS), Signal(beat_bits)
        m.d.comb += [
            following.eq(Mux(self.jump, self.target, self.position + self.take)),
            wanted.eq(following[low:]),
        ]
        m.d.sync += self.position.eq(Mux(self.start, 0, following))
        with m.If(self.start):
            m.d.sync += [going.eq(1), origin.eq(self.base)]
        with m.Elif(self.stop):
            m.d.sync += going.eq(0)

        # The beat is read anew in each cycle, for the one after it.
        part = self.position[:low] if low else 0
        m.d.comb += [
            buffer.read.en.eq(1),
            buffer.read.addr.eq(wanted[: exact_log2(self._beats)]),
            self.word.eq(buffer.read.data[:-1].word_select(part, WORD_BITS)),
            self.error.eq(buffer.read.data[-1]),
        ]
        lost = Signal()
        m.d.comb += lost.eq(
            self.jump & ((wanted < first) | (wanted + self._beats < asked)) | self.start
        )
        m.d.sync += self.valid.eq(
            going & ~self.start & ~self.stop & ~flushing & ~lost & (wanted < there)
        )

        begin = self._ask(m, buffer, origin, going, flushing, lost, asked, there)

        # What is on its way when the window is lost still comes, and is then forgotten.
        with m.If(lost):
            m.d.sync += flushing.eq(1)
        with m.Elif(flushing & ~self.bus.arvalid & (there == asked)):
            m.d.sync += [flushing.eq(0), first.eq(begin), asked.eq(begin), there.eq(begin)]
        return m

    def _ask(self, m: Module, buffer, origin, going, flushing, lost, asked, there) -> Signal:
        """Asks for bursts, as long as what is ahead is not more than half of the buffer.

        What the bus gives goes to the buffer. Returns the beat that a new window begins with.
        """
        bus = self.bus
        beat_bits = len(asked)
        ahead = Signal(beat_bits)
        # From the burst that the position is in: a window begins with a whole one.
        begin = Signal(beat_bits)
        m.d.comb += [
            begin.eq(self.position[exact_log2(self._words) :] & ~(self._burst - 1)),
            ahead.eq(asked - begin),
        ]
        asks = Signal()
        m.d.comb += asks.eq(
            # Not in the cycle of a jump: what it asked for could take the place of its target.
            going
            & ~flushing
            & ~self.jump
            & ~bus.arvalid
            & (ahead <= self._beats // 2 - self._burst)
        )
        with m.If(asks & ~lost):
            m.d.sync += [
                bus.arvalid.eq(1),
                bus.araddr.eq(origin + (asked << exact_log2(self._bus_bits // 8))),
                asked.eq(asked + self._burst),
            ]
        with m.Elif(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        m.d.comb += [
            bus.arlen.eq(self._burst - 1),
            bus.arsize.eq(exact_log2(self._bus_bits // 8)),
            bus.arburst.eq(INCREMENT),
            bus.rready.eq(1),
            buffer.write.en.eq(bus.rvalid),
            buffer.write.mask.eq(1),
            buffer.write.addr.eq(there[: exact_log2(self._beats)]),
            buffer.write.data.eq(Cat(bus.rdata, bus.rresp != OKAY)),
        ]
        with m.If(bus.rvalid):
            m.d.sync += there.eq(there + 1)
        return begin
