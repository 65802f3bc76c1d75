"""From spike words to single vectors: which du is read, and who adds it."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.limits import ADDRESS_BITS, TAP_BITS
from backspike.hw.wg.scanner import STRIDES, SpikeWord

__all__ = ["WgPicker", "WgStep"]


def WgStep(lanes: int) -> data.StructLayout:
    """A step of the array.

    Fields
    ------
    addr : word of du
    read : there is such a word
    spikes : who adds it
    last, last_m, last_c : the step is the last of its position, and that of the last tile of
        output, of input channels
    """
    return data.StructLayout(
        {"addr": ADDRESS_BITS, "read": 1, "spikes": lanes, "last": 1, "last_m": 1, "last_c": 1}
    )


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
    o : Out(stream of WgStep)
    """

    _lanes = Parameter[int]()
    _pixels = Parameter[int]()

    def __init__(self, *, lanes: int, pixels: int):
        super().__init__(
            {
                "stride": In(TAP_BITS),
                "i": In(stream.Signature(SpikeWord(lanes, pixels))),
                "o": Out(stream.Signature(WgStep(lanes))),
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
        step = self.o.payload
        with m.If(advance):
            m.d.sync += [picked_valid.eq(valid), self.o.valid.eq(picked_valid)]
            with m.If(picked_valid):
                m.d.sync += [
                    step.addr.eq(pick.du_addr + outs),
                    step.read.eq(pick.read),
                    step.spikes.eq(pick.spikes),
                    step.last.eq(pick.last),
                    step.last_m.eq(pick.last_m),
                    step.last_c.eq(pick.last_c),
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
        picked = data.StructLayout(
            {
                "read": 1,
                "last": 1,
                "last_m": 1,
                "last_c": 1,
                "spikes": self._lanes,
                "distance": distance.shape(),
                "du_addr": ADDRESS_BITS,
            }
        )
        pick = Signal(picked)
        for p in reversed(range(self._pixels)):
            with m.If(pending[p]):
                m.d.comb += [spikes.eq(word.spikes[p]), distance.eq(word.place.rest + p)]
        with m.If(step):
            m.d.sync += [
                pick.read.eq(pending.any()),
                pick.last.eq(word.place.last & ends),
                pick.last_m.eq(word.place.last_m),
                pick.last_c.eq(word.place.last_c),
                pick.spikes.eq(spikes),
                pick.distance.eq(distance),
                pick.du_addr.eq(word.place.du_addr),
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
