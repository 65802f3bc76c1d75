"""The BP engine: runs a backward convolution from a start command to done."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from hw.arith.format import PSUM_BITS, Float
from hw.bp.array import BpArray
from hw.component import EmitOnce
from hw.conv.command import ConvCommand
from hw.conv.counters import ConvCounters
from hw.conv.front import ConvFront, Pixel
from hw.conv.psums import PsumAccess
from hw.conv.weights import WeightLoader
from hw.memory.port import ADDRESS_BITS, ReadPort, WritePort
from hw.memory.stream import ReadStream

__all__ = ["BpEngine"]


class BpEngine(EmitOnce):
    """Backward convolution: psums of conv_bp from the next layer's du and its weights.

    A pixel of a group takes as many cycles as there are du vectors other than zero under the
    (rotated) kernel in that group's tiles; a pixel without fire takes none. A command takes besides
    some 20 cycles a group and 30 in all.

    Parameters
    ----------
    format, lanes, pixels, rows, entries, depth, weight_words
        As of :class:`hw.fp.engine.FpEngine`.

    Members
    -------
    start, command, running, done, clear_counters, counters
        As of :class:`hw.fp.engine.FpEngine`.
    invalid, overflow : Out(1)
        Sticky statuses to be.
    nonzero_read : Out(ReadPort)
        Which du words are not zero (:class:`hw.memory.nonzero.NonzeroMap`), by address of du.
    du_read, w_read : Out(ReadPort)
        Gradients and weights.
    fire_read : Out(ReadPort)
        The fire map of the layer.
    conv_read : Out(ReadPort), conv_write : Out(WritePort)
        Psums.
    """

    PORTS = ("nonzero_read", "du_read", "w_read", "fire_read", "conv_read", "conv_write")

    def __init__(
        self,
        *,
        format: Float,
        lanes: int,
        pixels: int,
        rows: int,
        entries: int,
        depth: int,
        weight_words: int,
    ):
        format.check_sums_fit()
        self._format = format
        self._lanes = lanes
        self._weight_words = weight_words
        self._depth = depth
        self._walk = {"pixels": pixels, "rows": rows, "entries": entries, "depth": depth}
        self._count = ConvCounters(lanes=lanes, entries=entries, ports=self.PORTS)
        super().__init__(
            {
                "start": In(1),
                "command": In(ConvCommand),
                "running": Out(1),
                "done": Out(1),
                "overflow": Out(1),
                "invalid": Out(1),
                "clear_counters": In(1),
                "counters": Out(self._count.values_shape),
                "nonzero_read": Out(ReadPort(width=pixels)),
                "du_read": Out(ReadPort(width=format.width * lanes)),
                "w_read": Out(ReadPort(width=format.width * lanes * weight_words)),
                "fire_read": Out(ReadPort(width=pixels * lanes)),
                "conv_read": Out(ReadPort(width=PSUM_BITS * lanes)),
                "conv_write": Out(WritePort(width=PSUM_BITS * lanes, granules=lanes)),
            },
            format=format,
            lanes=lanes,
            pixels=pixels,
            rows=rows,
            entries=entries,
            depth=depth,
            weight_words=weight_words,
        )

    @classmethod
    def from_config(cls, config) -> BpEngine:
        """The BP engine of a core of ``config`` (:class:`hw.config.ChipConfig`)."""
        array = config.array
        return cls(
            format=config.format,
            lanes=array.lanes,
            pixels=array.spike_pixels,
            rows=array.group_rows,
            entries=array.group_tiles,
            depth=array.ring_depth,
            weight_words=array.weight_words,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.front = front = ConvFront(bits=1, fire_lanes=self._lanes, **self._walk)
        m.submodules.loader = loader = WeightLoader(
            word_bits=self._format.width * self._lanes,
            lanes=self._lanes,
            weight_words=self._weight_words,
            depth=self._depth,
        )
        m.submodules.array = array = BpArray(
            format=self._format,
            lanes=self._lanes,
            depth=self._depth,
            weight_words=self._weight_words,
        )
        m.submodules.psums = psums = PsumAccess(lanes=self._lanes)
        connect(m, front.input, flipped(self.nonzero_read))
        connect(m, front.fire, flipped(self.fire_read))
        connect(m, loader.port, flipped(self.w_read))
        connect(m, psums.read, flipped(self.conv_read))
        connect(m, psums.write, flipped(self.conv_write))

        # Where the du of an entry lies, counted from the du of the first entry.
        m.submodules.offsets = offsets = Memory(shape=ADDRESS_BITS, depth=self._depth, init=[])
        offset_in, offset_out = offsets.write_port(), offsets.read_port(domain="comb")
        step = data.StructLayout(
            {
                "take": 1,
                "slot": ceil_log2(self._depth),
                "first": 1,
                "last": 1,
                "pixel": Pixel(self._lanes),
            }
        )
        asked, got = Signal(step), Signal(step)
        m.submodules.dus = dus = ReadStream(
            width=self._format.width * self._lanes, tag_bits=step.size, depth=4
        )
        connect(m, dus.port, flipped(self.du_read))
        m.d.comb += [
            offset_in.en.eq(loader.offset_write),
            offset_in.addr.eq(loader.slot),
            offset_in.data.eq(loader.offset),
            offset_out.addr.eq(front.slots[0]),
            asked.take.eq(front.take),
            asked.slot.eq(front.slots[0]),
            asked.first.eq(front.first),
            asked.last.eq(front.last),
            asked.pixel.eq(front.pixel),
            dus.i_valid.eq(front.o_valid),
            dus.i_addr.eq(front.pixel.input + offset_out.data),
            dus.i_read.eq(front.take),
            dus.i_tag.eq(asked),
            front.o_ready.eq(dus.i_ready),
            dus.o_ready.eq(1),
            got.eq(dus.o_tag),
            array.valid.eq(dus.o_valid),
            array.take.eq(got.take),
            array.step_slot.eq(got.slot),
            array.first.eq(got.first),
            array.last.eq(got.last),
            array.pixel.eq(got.pixel),
            array.du.eq(dus.o_data),
            # The last step of a group takes its weights out of the ring in this cycle.
            loader.release.eq(dus.o_valid & got.last & got.pixel.group_last),
        ]

        begins = Signal()
        m.d.comb += [
            begins.eq(self.start & ~self.running),
            self.done.eq(
                self.running & front.idle & ~dus.o_valid & loader.idle & psums.idle & array.empty
            ),
        ]
        with m.If(begins):
            m.d.sync += self.running.eq(1)
        with m.Elif(self.done):
            m.d.sync += self.running.eq(0)

        for unit in (front, loader):
            m.d.comb += [unit.start.eq(begins), unit.command.eq(self.command)]
        m.d.comb += [
            front.group_valid.eq(loader.group_valid),
            front.group_base.eq(loader.group_base),
            loader.next_group.eq(front.next_group),
            psums.i_valid.eq(front.request_valid),
            psums.i_addr.eq(front.request.addr),
            psums.i_read.eq(front.request.read),
            psums.i_write.eq(front.request.write),
            psums.i_group_last.eq(front.request.group_last),
            front.request_ready.eq(psums.i_ready),
            front.claimable.eq(psums.claimable),
            psums.claim.eq(front.claim),
            array.write.eq(loader.write),
            array.slot.eq(loader.slot),
            array.part.eq(loader.part),
            array.rows.eq(loader.rows),
            psums.pop.eq(array.pop),
            array.old.eq(psums.old),
            psums.push.eq(array.push),
            psums.push_addr.eq(array.push_addr),
            psums.new.eq(array.new),
            self.invalid.eq(array.invalid),
            self.overflow.eq(array.overflow),
        ]
        self._count.connect(
            m,
            self,
            front,
            take=array.taking,
            entering=array.valid & got.take,
        )
        return m
