"""What the FP and BP arrays have in common: their ports, and all but the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from backspike.hw.arith.format import PSUM_BITS, Float
from backspike.hw.component import EmitOnce, Parameter
from backspike.hw.conv.control import StepControl
from backspike.hw.conv.front import Pixel
from backspike.hw.conv.weights import part_bits
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.limits import ADDRESS_BITS

__all__ = ["ConvArray"]


class ConvArray(EmitOnce):
    """Base of the arrays: lanes x lanes PEs, each with ``ring_depth`` weights.

    An array takes a step a cycle and never waits. The new psums of a pixel are pushed
    :attr:`latency` cycles after its last step; the old ones are taken (``pop``) a cycle sooner
    after its first.

    Parameters
    ----------
    shape : EngineShape
    step, operands, results : dict
        Members besides: of a step, of what it works on, and of what comes of it.
    fire_lanes : int
        As of :func:`backspike.hw.conv.front.Pixel`.

    Members
    -------
    write, slot, part, rows : In
        From :class:`backspike.hw.conv.weights.WeightLoader`.
    valid, first, last, pixel : In
        A step of :class:`backspike.hw.conv.front.ConvFront`.
    pop : Out(1), old : In(lanes x PSUM_BITS)
    push : Out(1), push_addr : Out(ADDRESS_BITS), new : Out(lanes x PSUM_BITS)
        To :class:`backspike.hw.conv.psums.PsumAccess`.
    invalid : Out(1)
        A NaN or infinity took part.
    empty : Out(1)
        No step is in the pipeline.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _ring_depth = Parameter[int]()
    _weight_words = Parameter[int]()

    def __init__(
        self,
        shape: EngineShape,
        *,
        step: Mapping[str, Any],
        operands: Mapping[str, Any],
        results: Mapping[str, Any],
        fire_lanes: int = 0,
    ):
        self._fire_lanes = fire_lanes
        psums = data.ArrayLayout(PSUM_BITS, shape.lanes)
        super().__init__(
            {
                "write": In(1),
                "slot": In(ceil_log2(shape.ring_depth)),
                "part": In(part_bits(shape.lanes, shape.weight_words)),
                "rows": In(data.ArrayLayout(shape.format.width, shape.lanes * shape.weight_words)),
                "valid": In(1),
                **step,
                "first": In(1),
                "last": In(1),
                "pixel": In(Pixel(fire_lanes)),
                **operands,
                "pop": Out(1),
                "old": In(psums),
                "push": Out(1),
                "push_addr": Out(ADDRESS_BITS),
                "new": Out(psums),
                "invalid": Out(1),
                **results,
                "empty": Out(1),
            },
            format=shape.format,
            lanes=shape.lanes,
            ring_depth=shape.ring_depth,
            weight_words=shape.weight_words,
        )

    def _load(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """``write``, ``slot`` and ``part`` a cycle later, when the weights are converted."""
        load, load_slot, load_part = Signal(), Signal.like(self.slot), Signal.like(self.part)
        m.d.sync += [load.eq(self.write), load_slot.eq(self.slot), load_part.eq(self.part)]
        return load, load_slot, load_part

    def _control(self, m: Module) -> StepControl:
        """Adds the control of the rows' accumulators, and connects it to the array's ports."""
        m.submodules.control = control = StepControl(
            latency=self.latency, fire_lanes=self._fire_lanes
        )
        m.d.comb += [
            control.valid.eq(self.valid),
            control.first.eq(self.first),
            control.last.eq(self.last),
            control.pixel.eq(self.pixel),
            self.pop.eq(control.pop),
            self.push.eq(control.push),
            self.push_addr.eq(control.push_addr),
            self.empty.eq(control.empty),
        ]
        return control
