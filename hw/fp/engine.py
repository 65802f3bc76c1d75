"""The FP engine: runs a forward convolution from a start command to done."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.arith.format import PSUM_BITS, Float
from hw.component import EmitOnce
from hw.conv.command import ConvCommand
from hw.conv.counters import ConvCounters
from hw.conv.front import ConvFront
from hw.conv.psums import PsumAccess
from hw.conv.weights import WeightLoader
from hw.fp.array import FpArray
from hw.memory.port import ReadPort, WritePort

__all__ = ["FpEngine"]


class FpEngine(EmitOnce):
    """Forward convolution: psums of conv_fp from spikes (or a bit plane) and weights.

    A pixel of a group takes as many cycles as its busiest lane has spikes under the kernel in that
    group's input tiles; a command takes besides some 15 cycles a group and 30 in all.

    Parameters
    ----------
    format, lanes, pixels, rows, entries, depth, weight_words
        ``format``, ``array.lanes``, ``array.spike_pixels``, ``array.group_rows``,
        ``array.group_tiles``, ``array.ring_depth`` and ``array.weight_words`` of the configuration.

    Members
    -------
    start : In(1), command : In(ConvCommand)
        The command is held until ``done``.
    running : Out(1), done : Out(1)
        ``done`` is high for one cycle, after the last write.
    invalid : Out(1), overflow : Out(1)
        Sticky statuses to be; FP sums cannot overflow.
    clear_counters : In(1), counters : Out
    s_in_read : Out(ReadPort), w_read : Out(ReadPort)
        Spikes and weights.
    conv_read : Out(ReadPort), conv_write : Out(WritePort)
        Psums.
    """

    PORTS = ("s_in_read", "w_read", "conv_read", "conv_write")

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
                "s_in_read": Out(ReadPort(width=pixels * lanes)),
                "w_read": Out(ReadPort(width=format.width * lanes * weight_words)),
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
    def from_config(cls, config) -> FpEngine:
        """The FP engine of a core of ``config`` (:class:`hw.config.ChipConfig`)."""
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
        command = self.command
        m.submodules.front = front = ConvFront(bits=self._lanes, **self._walk)
        m.submodules.loader = loader = WeightLoader(
            word_bits=self._format.width * self._lanes,
            lanes=self._lanes,
            weight_words=self._weight_words,
            depth=self._depth,
        )
        m.submodules.array = array = FpArray(
            format=self._format,
            lanes=self._lanes,
            depth=self._depth,
            weight_words=self._weight_words,
        )
        m.submodules.psums = psums = PsumAccess(lanes=self._lanes)
        connect(m, front.input, flipped(self.s_in_read))
        connect(m, loader.port, flipped(self.w_read))
        connect(m, psums.read, flipped(self.conv_read))
        connect(m, psums.write, flipped(self.conv_write))

        begins = Signal()
        m.d.comb += [
            begins.eq(self.start & ~self.running),
            self.done.eq(self.running & front.idle & loader.idle & psums.idle & array.empty),
        ]
        with m.If(begins):
            m.d.sync += self.running.eq(1)
        with m.Elif(self.done):
            m.d.sync += self.running.eq(0)

        for unit in (front, loader):
            m.d.comb += [unit.start.eq(begins), unit.command.eq(command)]
        # The last weights of a group are out of the ring two cycles after its walk has ended.
        m.d.sync += loader.release.eq(front.next_group)
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
            front.o_ready.eq(1),
            array.write.eq(loader.write),
            array.slot.eq(loader.slot),
            array.part.eq(loader.part),
            array.rows.eq(loader.rows),
            array.valid.eq(front.o_valid),
            array.take.eq(front.take),
            array.slots.eq(front.slots),
            array.first.eq(front.first),
            array.last.eq(front.last),
            array.pixel.eq(front.pixel),
            array.shift.eq(command.shift),
            psums.pop.eq(array.pop),
            array.old.eq(psums.old),
            psums.push.eq(array.push),
            psums.push_addr.eq(array.push_addr),
            psums.new.eq(array.new),
            self.invalid.eq(array.invalid),
        ]

        self._count.connect(
            m,
            self,
            front,
            take=Mux(front.o_valid, front.take, 0),
            entering=front.o_valid & front.take.any(),
        )
        return m
