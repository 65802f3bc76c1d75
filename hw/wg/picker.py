"""From spike words to single vectors: which du is read, and who adds it."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS, TAP_BITS
from backspike.hw.wg.scanner import STRIDES, SpikeWord

__all__ = ["VectorRequest", "WgPicker", "WgVector"]


def WgVector(lanes: int) -> data.StructLayout:
    """A vector of du for the array, or the end of a position that has none.

    Fields
    ------
    spikes : who adds it
    read : there is a vector
    last, last_m, last_c : it is the last of its position, and that is one of the last tile of
        output, of input channels
    """
    return data.StructLayout({"spikes": lanes, "read": 1, "last": 1, "last_m": 1, "last_c": 1})


def VectorRequest(lanes: int) -> data.StructLayout:
    """The address of a word of du, and what is known of the vector in it."""
    return data.StructLayout({"vector": WgVector(lanes), "addr": ADDRESS_BITS})


class WgPicker(EmitOnce):
    """Takes the pending pixels of spike words one after the other: the array's steps.

    The last word of a position without a pending pixel gives one step that reads nothing.
    Latency three cycles, throughput one step a cycle.

    Parameters
    ----------
    lanes, pixels : int
        Of a spike word.

    Members
    -------
    stride : In(TAP_BITS)
    i : In(stream of SpikeWord)
    o : Out(stream of VectorRequest)
    """

    _lanes = Parameter[int]()
    _pixels = Parameter[int]()

    def __init__(self, *, lanes: int, pixels: int):
        super().__init__(
            {
                "stride": In(TAP_BITS),
                "i": In(stream.Signature(SpikeWord(lanes, pixels))),
                "o": Out(stream.Signature(VectorRequest(lanes))),
            },
            lanes=lanes,
            pixels=pixels,
        )

    def elaborate(self, platform):
        m = Module()
        advance, valid, pick = self._pick(m)
        # A cycle later, its distance in output pixels.
        picked_valid = Signal()
        outs = Signal(len(pick.distance))
        with m.Switch(self.stride):
            for stride in STRIDES:
                with m.Case(stride):
                    m.d.comb += outs.eq(self._quotient(m, pick.distance, stride))
        with m.If(advance):
            m.d.sync += [picked_valid.eq(valid), self.o.valid.eq(picked_valid)]
            with m.If(picked_valid):
                m.d.sync += [
                    self.o.payload.vector.eq(pick.step.vector),
                    self.o.payload.addr.eq(pick.step.addr + outs),
                ]
        return m

    def _pick(self, m: Module) -> tuple[Signal, Signal, data.View]:
        """Takes a pending pixel in each cycle in which what follows moves on.

        Returns whether it does, whether there is a word, and the pixel taken one cycle before.
        """
        word, valid = Signal(SpikeWord(self._lanes, self._pixels)), Signal()
        pending = word.place.pending
        others = Signal(self._pixels)
        advance, step, ends = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            others.eq(pending & (pending - 1)),
            step.eq(valid & advance),
            ends.eq(step & (others == 0)),
            self.i.ready.eq(~valid | ends),
        ]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += word.eq(self.i.payload)
        with m.Elif(step):
            m.d.sync += pending.eq(others)

        # The first pending pixel, and how far it is from the word's du_addr, in pixels.
        spikes, distance = Signal(self._lanes), Signal(range(self._pixels + STRIDES[-1]))
        pick = Signal(
            data.StructLayout({"step": VectorRequest(self._lanes), "distance": distance.shape()})
        )
        vector = pick.step.vector
        for p in reversed(range(self._pixels)):
            with m.If(pending[p]):
                m.d.comb += [spikes.eq(word.spikes[p]), distance.eq(word.place.rest + p)]
        with m.If(step):
            m.d.sync += [
                vector.spikes.eq(spikes),
                vector.read.eq(pending.any()),
                vector.last.eq(word.place.last & ends),
                vector.last_m.eq(word.place.last_m),
                vector.last_c.eq(word.place.last_c),
                pick.step.addr.eq(word.place.du_addr),
                pick.distance.eq(distance),
            ]
        return advance, valid, pick

    @staticmethod
    def _quotient(m: Module, distance, stride: int) -> Signal:
        """``distance // stride`` by a table."""
        quotient = Signal(len(distance), name=f"outs_{stride}")
        with m.Switch(distance):
            for value in range(1 << len(distance)):
                with m.Case(value):
                    m.d.comb += quotient.eq(value // stride)
        return quotient
