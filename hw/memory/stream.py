"""Buffered access to memory ports, so that a pipeline never has to stop in its middle."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.port import ReadPort, WritePort

__all__ = ["ReadStream", "WriteQueue"]


class ReadStream(EmitOnce):
    """Turns a stream of addresses into a stream of words, in order, whatever the memory's stalls.

    A request may carry a tag, which comes out beside its word, and may decline to read
    (``i_read = 0``): then only the tag comes out, in its turn, and the word is undefined.

    Latency from request to word is two cycles when the memory is ready; throughput is one request
    a cycle for ``depth`` of 3 or more. What is asked for is always taken up by the buffer, so
    ``o_ready`` may be low for any time.

    Parameters
    ----------
    width : int
        Bits of a word.
    tag_bits : int
        Bits of the tag; with 0 there are no ``i_tag`` and ``o_tag``.
    depth : int
        Words that may wait at the output or be on their way.

    Members
    -------
    i_valid, i_ready, i_addr, i_read, i_tag
        The requests.
    o_valid, o_ready, o_data, o_tag
        The words.
    arrived : Out(1)
        A word enters the buffer; it is at the output, or in its turn, from the next cycle on.
    port : Out(ReadPort)
        To the memory.
    """

    _width = Parameter[int]()
    _depth = Parameter[int]()
    _tag_bits = Parameter[int]()

    def __init__(self, *, width: int, tag_bits: int = 0, depth: int = 4):
        tags = {"i_tag": In(tag_bits), "o_tag": Out(tag_bits)} if tag_bits else {}
        super().__init__(
            {
                "i_valid": In(1),
                "i_ready": Out(1),
                "i_addr": In(ADDRESS_BITS),
                "i_read": In(1),
                "o_valid": Out(1),
                "o_ready": In(1),
                "o_data": Out(width),
                **tags,
                "arrived": Out(1),
                "port": Out(ReadPort(width=width)),
            },
            width=width,
            tag_bits=tag_bits,
            depth=depth,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = SyncFIFO(width=self._width + self._tag_bits, depth=self._depth)
        room = Signal()
        taken = Signal()
        arriving = Signal()
        m.d.comb += [
            # One place is kept for the word that is on its way from the memory.
            room.eq(words.level + arriving < self._depth),
            self.port.en.eq(self.i_valid & self.i_read & room),
            self.port.addr.eq(self.i_addr),
            self.i_ready.eq(room & (self.port.ready | ~self.i_read)),
            taken.eq(self.i_valid & self.i_ready),
            words.w_en.eq(arriving),
            self.arrived.eq(arriving),
            words.w_data[: self._width].eq(self.port.data),
            self.o_valid.eq(words.r_rdy),
            words.r_en.eq(self.o_ready),
            self.o_data.eq(words.r_data[: self._width]),
        ]
        m.d.sync += arriving.eq(taken)
        if self._tag_bits:
            tag = Signal(self._tag_bits)
            with m.If(taken):
                m.d.sync += tag.eq(self.i_tag)
            m.d.comb += [
                words.w_data[self._width :].eq(tag),
                self.o_tag.eq(words.r_data[self._width :]),
            ]
        return m


class WriteQueue(EmitOnce):
    """Takes the results of a pipeline that cannot wait, and writes them as the memory allows.

    A place is reserved (``reserve``, allowed while ``available``) when work enters the pipeline,
    and filled (``push``) when its result leaves it, so that the queue cannot overflow. A reserved
    place whose result turns out not to be written is given back with ``push`` and a mask of 0.

    Throughput is one word a cycle if ``depth`` exceeds the pipeline's latency by 3 or more.

    Parameters
    ----------
    width, granules : int
        As of :class:`backspike.hw.memory.port.WritePort`.
    depth : int
        Words that may be reserved or waiting.

    Members
    -------
    available : Out(1)
        A place is free.
    reserve : In(1)
        Take a place.
    push, addr, data, mask : In
        Fill the oldest place reserved.
    idle : Out(1)
        No place is taken: everything pushed has been written.
    port : Out(WritePort)
        To the memory.
    """

    _width = Parameter[int]()
    _granules = Parameter[int]()
    _depth = Parameter[int]()

    def __init__(self, *, width: int, granules: int = 1, depth: int = 16):
        super().__init__(
            {
                "available": Out(1),
                "reserve": In(1),
                "push": In(1),
                "addr": In(ADDRESS_BITS),
                "data": In(width),
                "mask": In(granules),
                "idle": Out(1),
                "port": Out(WritePort(width=width, granules=granules)),
            },
            width=width,
            granules=granules,
            depth=depth,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = SyncFIFO(
            width=ADDRESS_BITS + self._width + self._granules, depth=self._depth
        )
        taken = Signal(range(self._depth + 1))
        release = Signal()
        masked = Signal()
        m.d.comb += [
            words.w_en.eq(self.push),
            words.w_data.eq(Cat(self.data, self.addr, self.mask)),
            Cat(self.port.data, self.port.addr, self.port.mask).eq(words.r_data),
            masked.eq(self.port.mask.any()),
            self.port.en.eq(words.r_rdy & masked),
            release.eq(words.r_rdy & (self.port.ready | ~masked)),
            words.r_en.eq(release),
            self.available.eq(taken != self._depth),
            self.idle.eq(taken == 0),
        ]
        m.d.sync += taken.eq(taken + self.reserve - release)
        return m
