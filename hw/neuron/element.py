"""The frame of both element-wise engines: operands in, lanes, results out."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import connect, flipped

from backspike.hw.arith.format import Float
from backspike.hw.component import Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.engine import Engine
from backspike.hw.isa.neuron.command import Operation, Source
from backspike.hw.neuron.fetch import Fetch, vector_uses
from backspike.hw.neuron.lane import ElementLane, lane_control
from backspike.hw.neuron.store import Store

__all__ = ["CONVERT_LANES", "ElementEngine"]

LANE_INPUTS = {Source.CONV: "psum", Source.U: "u", Source.BITS: "bit_in", Source.DU: "du"}
"""The port of a lane that takes each source."""

CONVERT_LANES = 2
"""Values that are put on the grid of psums in a cycle, at most: no training step wants that."""


class ElementEngine(Engine):
    """Base of the engines that work on one value of each map at a time.

    Two walks over the map run side by side: one asks for operands (:class:`Fetch`), the other, a
    pipeline later, says where results go (:class:`Store`). A pixel enters the lanes, which never
    stop, when all its operands are there and all its results have a place in a write queue: its
    ``lanes`` channels in parts of ``pipeline_lanes``, one a cycle, lowest first. Throughput is
    ``pipeline_lanes`` channels a cycle, and ``CONVERT_LANES`` of results for the conv SRAM. Each
    pixel is read before it is written, and visited once, so maps may be worked on in place.

    Channels from ``m_size`` on are written as +0 and 0 whatever their operands, and set no status.

    Parameters
    ----------
    format : Float
        Storage format.
    lanes : int
        Channels in a word, at least 1.
    pipeline_lanes : int
        Channels side by side; divides ``lanes``.
    pixels : int
        Pixels in a word of a bit map, a power of two from 2.

    Members
    -------
    <memory>_read : Out(ReadPort), <memory>_write : Out(WritePort)
        For the others see :class:`backspike.hw.engine.Engine`; nothing is ever skipped. ``busy``
        counts parts.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    LANE: ClassVar[type[ElementLane]]

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _pipeline_lanes = Parameter[int]()
    _pixels = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int, pipeline_lanes: int, pixels: int):
        if lanes < 1:
            raise ValueError(f"{type(self).__name__} lanes must be at least 1, not {lanes!r}")
        if pipeline_lanes < 1 or lanes % pipeline_lanes:
            raise ValueError(
                f"{type(self).__name__} pipeline_lanes must divide lanes = {lanes}, "
                f"not {pipeline_lanes!r}"
            )
        if pixels < 2 or pixels & (pixels - 1):
            raise ValueError(
                f"{type(self).__name__} pixels must be a power of two from 2, not {pixels!r}"
            )
        common = {"kind": self.LANE.KIND, "format": format, "lanes": lanes, "pixels": pixels}
        super().__init__(
            command=self.LANE.KIND.command,
            ports={**Fetch.ports(**common), **Store.ports(**common)},
            counts={"lanes": lanes.bit_length()},
            parameters={
                "format": format,
                "lanes": lanes,
                "pipeline_lanes": pipeline_lanes,
                "pixels": pixels,
            },
        )

    @property
    def _parts(self) -> int:
        """Parts of a pixel, which go through the lanes one after the other."""
        return self._lanes // self._pipeline_lanes

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The engine of a core of ``config``."""
        array = config.array
        return cls(
            format=config.format,
            lanes=array.lanes,
            pipeline_lanes=array.pipeline_lanes,
            pixels=array.spike_pixels,
        )

    @staticmethod
    def lane_parameters(format: Float, channels: int) -> dict[str, Any]:
        """Of a lane through which so many channels of a pixel go one after the other."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        lane_parameters = self.lane_parameters(self._format, self._parts)
        latency = self.LANE.latency_of(**lane_parameters)
        psum_bits, psum_lsb = self.LANE.KIND.psum_grid(self._format)
        common = {
            "kind": self.LANE.KIND,
            "format": self._format,
            "lanes": self._lanes,
            "pixels": self._pixels,
        }
        m.submodules.fetch = fetch = Fetch(**common)
        m.submodules.store = store = Store(
            **common,
            psum_bits=psum_bits,
            psum_lsb=psum_lsb,
            convert_lanes=min(CONVERT_LANES, self._pipeline_lanes),
            under_way=-(-latency // self._parts),
        )
        begins = self.sequence(m, ~fetch.active & ~store.active & store.idle)
        enter = Signal()
        entered = Signal(latency)
        leave = entered[-1]
        part, enters_last = self._count_parts(m, enter, "enters")
        part_out, leaves_last = self._count_parts(m, leave, "leaves")
        m.d.comb += [
            enter.eq(fetch.valid & store.available),
            fetch.take.eq(enters_last),
            store.reserve.eq(enters_last),
            store.window_done.eq(fetch.closes & fetch.whole),
            store.push.eq(leaves_last),
        ]
        m.d.sync += entered.eq(Cat(enter, entered))
        for walker in (fetch, store):
            m.d.comb += [walker.start.eq(begins), walker.command.eq(self.command)]
            for name in self.memory_ports:
                if name in walker.signature.members:
                    connect(m, getattr(walker, name), flipped(getattr(self, name)))

        lanes = self._fill_lanes(m, fetch, part, enter, lane_parameters)
        used = store.used.word_select(part_out, self._pipeline_lanes)
        raises = used & leave.replicate(self._pipeline_lanes)
        m.d.comb += [
            store.values.eq(self._gather(m, leave, Cat(lane.value for lane in lanes), "values")),
            store.bits.eq(self._gather(m, leave, Cat(lane.bit_out for lane in lanes), "bits")),
        ]
        m.d.sync += [
            self.overflow.eq((Cat(lane.overflow for lane in lanes) & raises).any()),
            self.invalid.eq((Cat(lane.invalid for lane in lanes) & raises).any()),
        ]

        self.count(m, entering=enter, lanes=Mux(enters_last, fetch.lanes_used, 0))
        return m

    def _fill_lanes(self, m: Module, fetch: Fetch, part, enter, parameters) -> list[ElementLane]:
        """The lanes, which the parts of a pixel enter."""
        control = self._decode(m)
        lanes = [self.LANE(**parameters) for _ in range(self._pipeline_lanes)]
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += lane.control.eq(control)
            for operand in self.LANE.KIND.operands:
                words = getattr(fetch, operand.source.name.lower())
                group = words.word_select(part, len(words) // self._parts)
                each = group.word_select(number, len(words) // self._lanes)
                m.d.comb += getattr(lane, LANE_INPUTS[operand.source]).eq(each)
            for name, flag in (("enter", enter), ("opens", fetch.opens), ("whole", fetch.whole)):
                if name in lane.signature.members:
                    m.d.comb += getattr(lane, name).eq(flag)
        return lanes

    def _count_parts(self, m: Module, goes, name: str):
        """The part of a pixel that ``goes`` in this cycle, and whether it is the last one."""
        part, last = (
            Signal(range(max(2, self._parts)), name=f"part_{name}"),
            Signal(name=f"{name}_last"),
        )
        m.d.comb += last.eq(goes & (part == self._parts - 1))
        with m.If(goes):
            m.d.sync += part.eq(Mux(last, 0, part + 1))
        return part, last

    def _gather(self, m: Module, leave, results, name: str):
        """The results of all parts of a pixel, in the cycle in which its last part leaves."""
        if self._parts == 1:
            return results
        before = Signal((self._parts - 1) * len(results), name=f"{name}_before", reset_less=True)
        word = Cat(before, results)
        with m.If(leave):
            m.d.sync += before.eq(word[len(results) :])
        return word

    def _decode(self, m: Module):
        """What the settings of the command mean to a lane."""
        settings = self.command.settings
        control = Signal(lane_control(self._format))
        step = settings.operation == Operation.STEP
        m.d.comb += [
            control.step.eq(step),
            control.t_acc.eq(settings.t_acc | ~step),
            control.x.eq(Mux(step, Source.U, settings.x)),
            control.y.eq(Mux(step, self.LANE.KIND.step_y, settings.y)),
            control.subtract.eq(settings.operation == Operation.SUBTRACT),
            control.multiply.eq(settings.operation == Operation.MULTIPLY),
            control.compare.eq(settings.operation == Operation.COMPARE),
            control.reads_psum.eq(step | vector_uses(settings, Source.CONV)),
            control.scale.eq(settings.scale),
            control.alpha.eq(Mux(step, settings.alpha, self._format.one)),
            control.scalar.eq(Mux(step, settings.alpha, settings.scalar)),
            control.th_f.eq(settings.th_f),
            control.low.eq(Mux(step, getattr(settings, self.LANE.KIND.step_low), settings.th_l)),
            control.high.eq(settings.th_r),
        ]
        return control
