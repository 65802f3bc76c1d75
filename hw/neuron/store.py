"""Results of the element-wise engines: queued, pooled, and written where the walk says."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Member, Out
from amaranth.utils import exact_log2

from backspike.hw.arith.fixed import ToFixed
from backspike.hw.arith.format import PSUM_BITS, Float, psum_nan
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.isa.neuron.command import Destination, Operation, Source
from backspike.hw.isa.neuron.kinds import ElementKind, word_bits
from backspike.hw.memory.port import WritePort
from backspike.hw.memory.stream import WriteQueue
from backspike.hw.neuron.walk import Walk

__all__ = ["Store"]

SLACK = 4
"""Places of a queue beyond the pixels in the lanes, so that it does not hold them up."""


class Store(EmitOnce):
    """Takes the results of the lanes, which cannot wait, and writes them as the memories allow.

    Channels from ``m_size`` on become +0 and 0. Spikes are pooled here: the OR of a window is
    written with its last pixel, if the whole of it lies in the map. Throughput is one pixel a
    cycle, but for values that go to the conv SRAM: these are put on its grid and written
    ``convert_lanes`` a cycle.

    Parameters
    ----------
    kind : ElementKind
    format, lanes, pixels
        As of :class:`backspike.hw.neuron.element.ElementEngine`.
    psum_bits, psum_lsb : int
        Width and grid of the psums in the conv SRAM.
    convert_lanes : int
        Values that are put on that grid in a cycle; divides ``lanes``.
    under_way : int
        Pixels that can be between ``reserve`` and ``push``.

    Members
    -------
    start : In(1), command : In(struct)
        Held until no longer ``active`` and ``idle``.
    window_done : In(1), available : Out(1), reserve : In(1)
        There is room for the results of a pixel, which completes a window or does not; take it.
    push : In(1), values : In(lanes x format.width), bits : In(lanes)
        The results of the oldest pixel reserved.
    used : Out(lanes)
        Lanes that stand for a channel, of the pixel that is next to be pushed.
    active : Out(1)
        Results are still to come.
    idle : Out(1)
        Everything pushed has been written.
    <memory>_write : Out(WritePort)
    """

    _kind = Parameter[ElementKind]()
    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _pixels = Parameter[int]()
    _psum_bits = Parameter[int]()
    _psum_lsb = Parameter[int]()
    _convert_lanes = Parameter[int]()
    _under_way = Parameter[int]()

    def __init__(
        self,
        *,
        kind: ElementKind,
        format: Float,
        lanes: int,
        pixels: int,
        psum_bits: int,
        psum_lsb: int,
        convert_lanes: int,
        under_way: int,
    ):
        super().__init__(
            {
                "start": In(1),
                "command": In(kind.command),
                "window_done": In(1),
                "available": Out(1),
                "reserve": In(1),
                "push": In(1),
                "values": In(format.width * lanes),
                "bits": In(lanes),
                "used": Out(lanes),
                "active": Out(1),
                "idle": Out(1),
                **self.ports(kind=kind, format=format, lanes=lanes, pixels=pixels),
            },
            kind=kind,
            format=format,
            lanes=lanes,
            pixels=pixels,
            psum_bits=psum_bits,
            psum_lsb=psum_lsb,
            convert_lanes=convert_lanes,
            under_way=under_way,
        )

    @staticmethod
    def ports(*, kind: ElementKind, format: Float, lanes: int, pixels: int) -> dict[str, Member]:
        """The members to memories."""
        ports = {}
        for memory, source, granules in (
            ("conv", Source.CONV, lanes),
            (kind.map_memory, Source.U, lanes),
            *((result.memory, Source.BITS, pixels) for result in kind.bit_results),
        ):
            width = word_bits(source, format=format, lanes=lanes, pixels=pixels)
            ports[f"{memory}_write"] = Out(WritePort(width=width, granules=granules))
        return ports

    @property
    def _depth(self) -> int:
        """Places of a queue."""
        return self._under_way + SLACK

    def elaborate(self, platform):
        m = Module()
        kind, command = self._kind, self.command
        results = kind.bit_results
        m.submodules.walk = walk = Walk(words=1, bit_maps=len(results), pixels=self._pixels)
        m.d.comb += [
            walk.start.eq(self.start),
            walk.step.eq(self.push),
            walk.extent.eq(command.extent),
            walk.words[0].eq(command.write),
            self.active.eq(walk.active),
        ]
        for number, result in enumerate(results):
            m.d.comb += walk.bits[number].eq(getattr(command, f"{result.memory}_write"))

        last_lanes = command.extent.last_lanes
        for lane in range(self._lanes):
            m.d.comb += self.used[lane].eq(~walk.last_tile | (lane < last_lanes))
        width = self._format.width
        values = self.values & Cat(bit.replicate(width) for bit in self.used)
        bits = Signal(self._lanes)
        pooled = Signal(self._lanes)
        before = Signal(self._lanes)
        m.d.comb += [
            bits.eq(self.bits & self.used),
            pooled.eq(bits | Mux(walk.opens, 0, before)),
        ]
        with m.If(self.push):
            m.d.sync += before.eq(pooled)

        step = command.settings.operation == Operation.STEP
        compare = command.settings.operation == Operation.COMPARE
        queues = [self._value_queue(m, values, walk.word_addr[0], ~compare)]
        for number, result in enumerate(results):
            queue = WriteQueue(width=self._lanes + exact_log2(self._pixels), depth=self._depth)
            m.submodules[result.memory] = queue
            wanted = Signal(name=f"{result.memory}_wanted")
            made = Signal(name=f"{result.memory}_made")
            for signal, completes in (
                (wanted, self.window_done),
                (made, walk.closes & walk.whole),
            ):
                in_step = result.of_step & step & (completes | (not result.pooled))
                m.d.comb += signal.eq(in_step | (result.of_compare & compare))
            m.d.comb += [
                queue.reserve.eq(self.reserve & wanted),
                queue.push.eq(self.push & made),
                queue.addr.eq(walk.bit_addr[number]),
                queue.data.eq(Cat(pooled if result.pooled else bits, walk.bit_pixel[number])),
                queue.mask.eq(1),
            ]
            self._write_bits(m, queue.port, getattr(self, f"{result.memory}_write"))
            queues.append((queue, wanted))
        m.d.comb += [
            self.available.eq(reduce(and_, (queue.available | ~used for queue, used in queues))),
            self.idle.eq(reduce(and_, (queue.idle for queue, _ in queues))),
        ]
        return m

    def _value_queue(self, m: Module, values, address, wanted):
        """The queue of values, before they are put on the grid of psums where that is asked for."""
        queue = WriteQueue(width=self._format.width * self._lanes, depth=self._depth)
        m.submodules.values = queue
        settings = self.command.settings
        to_conv = Signal()
        parts = self._lanes // self._convert_lanes
        part, last_part = Signal(range(max(2, parts))), Signal()
        conv, plain = self.conv_write, getattr(self, f"{self._kind.map_memory}_write")
        m.d.comb += [
            to_conv.eq(
                (settings.destination == Destination.CONV) & (settings.operation != Operation.STEP)
            ),
            queue.reserve.eq(self.reserve & wanted),
            queue.push.eq(self.push & wanted),
            queue.addr.eq(address),
            queue.data.eq(values),
            queue.mask.eq(1),
            last_part.eq(part == parts - 1),
            queue.port.ready.eq(Mux(to_conv, conv.ready & last_part, plain.ready)),
            conv.en.eq(queue.port.en & to_conv),
            plain.en.eq(queue.port.en & ~to_conv),
            plain.data.eq(queue.port.data),
        ]
        with m.If(conv.en & conv.ready):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
        shift = self._format.lsb - self._psum_lsb
        group = queue.port.data.word_select(part, self._convert_lanes * self._format.width)
        psums = []
        for lane in range(self._convert_lanes):
            m.submodules[f"to_fixed_{lane}"] = fixed = ToFixed(format=self._format)
            psum = Signal(signed(PSUM_BITS), name=f"psum_{lane}")
            m.d.comb += [
                fixed.i.eq(group.word_select(lane, self._format.width)),
                psum.eq(Mux(fixed.special, psum_nan(self._psum_bits), fixed.o << shift)),
            ]
            psums.append(psum)
        m.d.comb += [
            *(port.addr.eq(queue.port.addr) for port in (conv, plain)),
            plain.mask.eq(~0),
            conv.data.eq(Cat(psums).replicate(parts)),
            conv.mask.eq(Cat((part == at).replicate(self._convert_lanes) for at in range(parts))),
        ]
        return queue, wanted

    def _write_bits(self, m: Module, queued, port):
        """Puts the bits of a pixel in their place in a word."""
        pixel = queued.data[self._lanes :]
        m.d.comb += [
            queued.ready.eq(port.ready),
            port.en.eq(queued.en),
            port.addr.eq(queued.addr),
            port.data.eq(queued.data[: self._lanes].replicate(self._pixels)),
            port.mask.eq(1 << pixel),
        ]
