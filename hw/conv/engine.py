"""What an FP and a BP engine have in common: all but the array, and how it gets its operands."""

from __future__ import annotations

from typing import Self

from amaranth import Module, Signal, Value
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.arith.format import PSUM_BITS
from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.conv.command import ConvCommand
from hw.conv.counters import ConvCounters
from hw.conv.front import ConvFront
from hw.conv.psums import PsumAccess
from hw.conv.shape import EngineShape
from hw.conv.weights import WeightLoader
from hw.memory.port import ReadPort, WritePort

__all__ = ["ConvEngine"]


class ConvEngine(EmitOnce):
    """Base of the two engines that run a :class:`hw.conv.command.ConvCommand`.

    Parameters
    ----------
    shape : EngineShape
    reads : dict of str to int
        The ports through which the engine reads its input, and bits of a word of each.

    Members
    -------
    start : In(1), command : In(ConvCommand)
        A start is accepted when not running; the command is held until ``done``.
    running : Out(1), done : Out(1)
        ``done`` is high for one cycle, after the last write.
    overflow, invalid : Out(1)
        High in each cycle in which the status is to be set.
    clear_counters : In(1), counters : Out
        :class:`hw.conv.counters.ConvCounters`.
    w_read : Out(ReadPort)
        Weights.
    conv_read : Out(ReadPort), conv_write : Out(WritePort)
        Psums.

    Raises
    ------
    ValueError
        If sums in the format need more than 64 bits.
    """

    def __init__(self, shape: EngineShape, reads: dict[str, int]):
        shape.format.check_sums_fit()
        self._shape = shape
        lanes = shape.lanes
        reads = {**reads, "w_read": shape.format.width * lanes * shape.weight_words}
        reads["conv_read"] = PSUM_BITS * lanes
        self._count = ConvCounters(lanes=lanes, entries=shape.entries, ports=(*reads, "conv_write"))
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
                **{name: Out(ReadPort(width=width)) for name, width in reads.items()},
                "conv_write": Out(WritePort(width=PSUM_BITS * lanes, granules=lanes)),
            },
            **vars(shape),
        )

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The engine of a core of ``config``."""
        return cls(EngineShape.from_config(config))

    def assemble(
        self, m: Module, array: EmitOnce, *, bits: int, fire_lanes: int = 0
    ) -> tuple[ConvFront, WeightLoader]:
        """Adds to ``m`` all that surrounds ``array``, and connects it to weights and psums.

        Left to the engine are the ports of its input, ``o_ready`` of the front, ``release`` of the
        loader, and the steps of the array.
        """
        shape = self._shape
        m.submodules.array = array
        m.submodules.front = front = ConvFront(
            bits=bits,
            pixels=shape.pixels,
            rows=shape.rows,
            entries=shape.entries,
            depth=shape.depth,
            fire_lanes=fire_lanes,
        )
        m.submodules.loader = loader = WeightLoader(
            word_bits=shape.format.width * shape.lanes,
            lanes=shape.lanes,
            weight_words=shape.weight_words,
            depth=shape.depth,
        )
        m.submodules.psums = psums = PsumAccess(lanes=shape.lanes)
        connect(m, loader.port, flipped(self.w_read))
        connect(m, psums.read, flipped(self.conv_read))
        connect(m, psums.write, flipped(self.conv_write))

        begins = Signal()
        m.d.comb += [
            begins.eq(self.start & ~self.running),
            # The ring is empty only when the last group has been through the array.
            self.done.eq(self.running & front.idle & loader.idle & psums.idle & array.empty),
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
            array.write.eq(loader.write),
            array.slot.eq(loader.slot),
            array.part.eq(loader.part),
            array.rows.eq(loader.rows),
            psums.i_valid.eq(front.request_valid),
            psums.i_addr.eq(front.request.addr),
            psums.i_read.eq(front.request.read),
            psums.i_write.eq(front.request.write),
            psums.i_group_last.eq(front.request.group_last),
            front.request_ready.eq(psums.i_ready),
            front.claimable.eq(psums.claimable),
            psums.claim.eq(front.claim),
            psums.pop.eq(array.pop),
            array.old.eq(psums.old),
            psums.push.eq(array.push),
            psums.push_addr.eq(array.push_addr),
            psums.new.eq(array.new),
            self.invalid.eq(array.invalid),
        ]
        return front, loader

    def count(self, m: Module, front: ConvFront, *, take: Value, entering: Value) -> None:
        """Adds the counters: ``take`` has a bit per lane that takes part in the cycle."""
        self._count.connect(m, self, front, take=take, entering=entering)
