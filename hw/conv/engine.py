"""What an FP and a BP engine have in common: all but the array, and how it gets its operands."""

from __future__ import annotations

from typing import Self

from amaranth import Module, Signal, Value, signed
from amaranth.lib.wiring import Out, connect, flipped

from backspike.hw.arith.format import PSUM_BITS
from backspike.hw.component import EmitOnce
from backspike.hw.config import ChipConfig
from backspike.hw.conv.front import ConvFront
from backspike.hw.conv.psums import PsumAccess
from backspike.hw.conv.weights import WeightLoader
from backspike.hw.engine import Engine
from backspike.hw.isa.conv.command import ConvCommand
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.memory.port import ReadPort, WritePort

__all__ = ["ConvEngine"]


class ConvEngine(Engine):
    """Base of the two engines that run a :class:`backspike.hw.isa.conv.command.ConvCommand`.

    Parameters
    ----------
    shape : EngineShape
    reads : dict of str to int
        The ports through which the engine reads its input, and bits of a word of each.

    Members
    -------
    w_read : Out(ReadPort)
        Weights.
    conv_read : Out(ReadPort), conv_write : Out(WritePort)
        Psums; for the others see :class:`backspike.hw.engine.Engine`.

    Raises
    ------
    ValueError
        If sums in the format need more than 64 bits.
    """

    def __init__(self, shape: EngineShape, reads: dict[str, int]):
        shape.format.check_sums_fit()
        lanes = shape.lanes
        reads = {**reads, "w_read": shape.format.width * lanes * shape.weight_words}
        reads["conv_read"] = PSUM_BITS * lanes
        super().__init__(
            command=ConvCommand,
            ports={
                **{name: Out(ReadPort(width=width)) for name, width in reads.items()},
                "conv_write": Out(WritePort(width=PSUM_BITS * lanes, granules=lanes)),
            },
            counts={
                "skipped": signed(shape.group_tiles.bit_length() + 1),
                "lanes": lanes.bit_length(),
            },
            parameters=vars(shape),
        )

    @property
    def _shape(self) -> EngineShape:
        """The parameters as they were given."""
        return EngineShape(**self.parameters)

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The engine of a core of ``config``."""
        return cls(EngineShape.from_config(config))

    def assemble(
        self, m: Module, array: EmitOnce, *, bits: int, fire_lanes: int = 0
    ) -> tuple[ConvFront, WeightLoader]:
        """Adds to ``m`` all that surrounds ``array``, and connects it to weights and psums.

        Left to the engine are the ports of its input, the steps of the front, ``release`` of the
        loader, and the steps of the array.
        """
        shape = self._shape
        m.submodules.array = array
        m.submodules.front = front = ConvFront(
            bits=bits,
            pixels=shape.pixels,
            group_rows=shape.group_rows,
            group_tiles=shape.group_tiles,
            ring_depth=shape.ring_depth,
            fire_lanes=fire_lanes,
        )
        m.submodules.loader = loader = WeightLoader(
            word_bits=shape.format.width * shape.lanes,
            lanes=shape.lanes,
            weight_words=shape.weight_words,
            ring_depth=shape.ring_depth,
        )
        m.submodules.psums = psums = PsumAccess(lanes=shape.lanes)
        connect(m, loader.port, flipped(self.w_read))
        connect(m, psums.read, flipped(self.conv_read))
        connect(m, psums.write, flipped(self.conv_write))

        # The ring is empty only when the last group has been through the array.
        begins = self.sequence(m, front.idle & loader.idle & psums.idle & array.empty)
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
            psums.i_valid.eq(front.request.valid),
            psums.i_addr.eq(front.request.payload.addr),
            psums.i_read.eq(front.request.payload.read),
            psums.i_write.eq(front.request.payload.write),
            psums.i_group_last.eq(front.request.payload.group_last),
            front.request.ready.eq(psums.i_ready),
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

    def count_steps(self, m: Module, front: ConvFront, *, take: Value, entering: Value) -> None:
        """Adds the counters: ``take`` has a bit per lane that takes part in the cycle.

        ``skipped`` gains the dense cycles of each window that is made and loses each cycle that is
        spent, so it is right when the engine is done.
        """
        group_tiles = self._shape.group_tiles
        dense = Signal(range(group_tiles + 1))
        m.d.sync += dense.eq(sum((front.present[e] & front.window for e in range(group_tiles)), 0))
        lanes = sum((take[lane] for lane in range(len(take))), 0)
        self.count(m, entering=entering, lanes=lanes, skipped=dense - entering)
