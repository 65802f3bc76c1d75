"""The BP engine: runs a backward convolution from a start command to done."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import connect, flipped

from backspike.hw.bp.array import BpArray
from backspike.hw.conv.engine import ConvEngine
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.limits import ADDRESS_BITS
from backspike.hw.memory.stream import ReadStream

__all__ = ["BpEngine"]


class BpEngine(ConvEngine):
    """Backward convolution: psums of conv_bp from the next layer's du and its weights.

    A pixel of a group takes as many cycles as there are du vectors other than zero under the
    (rotated) kernel in that group's tiles; a pixel without fire takes none. A command takes besides
    some 20 cycles a group and 30 in all.

    Parameters
    ----------
    shape : EngineShape

    Members
    -------
    nonzero_read : Out(ReadPort)
        Which du words are not zero (:class:`backspike.hw.memory.nonzero.NonzeroMap`), by address of
        du.
    du_read : Out(ReadPort)
        Gradients.
    fire_read : Out(ReadPort)
        The fire map of the layer; for the others see :class:`backspike.hw.conv.engine.ConvEngine`.
    """

    def __init__(self, shape: EngineShape):
        super().__init__(
            shape,
            {
                "nonzero_read": shape.pixels,
                "du_read": shape.format.width * shape.lanes,
                "fire_read": shape.pixels * shape.lanes,
            },
        )

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        array = BpArray(shape)
        front, loader = self.assemble(m, array, bits=1, fire_lanes=shape.lanes)
        connect(m, front.input, flipped(self.nonzero_read))
        connect(m, front.fire, flipped(self.fire_read))

        # Where the du of an entry lies, counted from the du of the first entry.
        m.submodules.offsets = offsets = Memory(shape=ADDRESS_BITS, depth=shape.ring_depth, init=[])
        offset_in, offset_out = offsets.write_port(), offsets.read_port(domain="comb")
        asked = front.o.payload
        got = Signal(asked.shape())
        m.submodules.dus = dus = ReadStream(
            width=shape.format.width * shape.lanes, tag_bits=asked.shape().size
        )
        connect(m, dus.port, flipped(self.du_read))
        m.d.comb += [
            offset_in.en.eq(loader.offset_write),
            offset_in.addr.eq(loader.slot),
            offset_in.data.eq(loader.offset),
            offset_out.addr.eq(asked.slots[0]),
            dus.i_valid.eq(front.o.valid),
            dus.i_addr.eq(asked.pixel.input + offset_out.data),
            dus.i_read.eq(asked.take),
            dus.i_tag.eq(asked),
            front.o.ready.eq(dus.i_ready),
            dus.o_ready.eq(1),
            got.eq(dus.o_tag),
            array.valid.eq(dus.o_valid),
            array.take.eq(got.take),
            array.step_slot.eq(got.slots[0]),
            array.first.eq(got.first),
            array.last.eq(got.last),
            array.pixel.eq(got.pixel),
            array.du.eq(dus.o_data),
            # The last step of a group takes its weights out of the ring in this cycle.
            loader.release.eq(dus.o_valid & got.last & got.pixel.group_last),
            self.overflow.eq(array.overflow),
        ]
        self.count_steps(m, front, take=array.taking, entering=array.valid & got.entry)
        return m
