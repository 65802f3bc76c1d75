"""The frame of both element-wise engines: operands in, lanes, results out."""

from __future__ import annotations

from typing import ClassVar

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import connect, flipped

from hw.arith.format import Float
from hw.engine import Engine
from hw.neuron.command import Operation, Source
from hw.neuron.fetch import Fetch, vector_uses
from hw.neuron.lane import lane_control, one
from hw.neuron.operands import ElementKind
from hw.neuron.store import Store

__all__ = ["ElementEngine"]

LANE_INPUTS = {Source.CONV: "psum", Source.U: "u", Source.BITS: "bit_in", Source.DU: "du"}
"""The port of a lane that takes each source."""


class ElementEngine(Engine):
    """Base of the engines that work on one value of each map at a time.

    Two walks over the map run side by side: one asks for operands (:class:`Fetch`), the other, a
    pipeline later, says where results go (:class:`Store`). A pixel enters the lanes, which never
    stop, when all its operands are there and all its results have a place in a write queue.
    Throughput is one pixel of ``lanes`` channels a cycle. Each pixel is read before it is written,
    and visited once, so maps may be worked on in place.

    Channels from ``m_size`` on are written as +0 and 0 whatever their operands, and set no status.

    Parameters
    ----------
    format : Float
        Storage format.
    lanes : int
        Channels side by side, at least 1.
    pixels : int
        Pixels in a word of a bit map, a power of two from 2.

    Members
    -------
    <memory>_read : Out(ReadPort), <memory>_write : Out(WritePort)
        For the others see :class:`hw.engine.Engine`; nothing is ever skipped.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    KIND: ClassVar[ElementKind]

    def __init__(self, *, format: Float, lanes: int, pixels: int):
        if lanes < 1:
            raise ValueError(f"{type(self).__name__} lanes must be at least 1, not {lanes!r}")
        if pixels < 2 or pixels & (pixels - 1):
            raise ValueError(
                f"{type(self).__name__} pixels must be a power of two from 2, not {pixels!r}"
            )
        self._format = format
        self._lanes = lanes
        psum_bits, psum_lsb = self.psum_grid(format)
        self._first_lane = self.make_lane(format)
        self._latency = self._first_lane.latency
        common = {"kind": self.KIND, "format": format, "lanes": lanes, "pixels": pixels}
        self._fetch = Fetch(**common)
        self._store = Store(**common, psum_bits=psum_bits, psum_lsb=psum_lsb, latency=self._latency)
        ports = {
            name: member
            for part in (self._fetch, self._store)
            for name, member in part.signature.members.items()
            if name.endswith(("_read", "_write"))
        }
        super().__init__(
            command=self.KIND.command,
            ports=ports,
            counts={"lanes": lanes.bit_length()},
            parameters={"format": format, "lanes": lanes, "pixels": pixels},
        )

    @classmethod
    def from_config(cls, config):
        """The engine of a core of the chip ``config``."""
        array = config.array
        return cls(format=config.format, lanes=array.lanes, pixels=array.spike_pixels)

    @staticmethod
    def make_lane(format: Float):
        """A new lane."""
        raise NotImplementedError

    @staticmethod
    def psum_grid(format: Float) -> tuple[int, int]:
        """Bits and lsb of the psums in the conv SRAM."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = self._fetch
        m.submodules.store = store = self._store
        begins = self.sequence(m, ~fetch.active & ~store.active & store.idle)
        enter = Signal()
        entered = Signal(self._latency)
        leave = entered[-1]
        m.d.comb += [
            enter.eq(fetch.valid & store.available),
            fetch.take.eq(enter),
            store.reserve.eq(enter),
            store.window_done.eq(fetch.closes & fetch.whole),
            store.push.eq(leave),
        ]
        m.d.sync += entered.eq(Cat(enter, entered))
        for part in (fetch, store):
            m.d.comb += [part.start.eq(begins), part.command.eq(self.command)]
            for name in part.signature.members:
                if name in self._ports:
                    connect(m, getattr(part, name), flipped(getattr(self, name)))

        control = self._decode(m)
        lanes = [self.make_lane(self._format) for _ in range(1, self._lanes)]
        lanes.insert(0, self._first_lane)
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += lane.control.eq(control)
            for operand in self.KIND.operands:
                words = getattr(fetch, operand.source.name.lower())
                each = words.word_select(number, len(words) // self._lanes)
                m.d.comb += getattr(lane, LANE_INPUTS[operand.source]).eq(each)
            for name, flag in (("enter", enter), ("opens", fetch.opens), ("whole", fetch.whole)):
                if name in lane.signature.members:
                    m.d.comb += getattr(lane, name).eq(flag)
        raises = store.used & leave.replicate(self._lanes)
        m.d.comb += [
            store.values.eq(Cat(lane.value for lane in lanes)),
            store.bits.eq(Cat(lane.bit_out for lane in lanes)),
        ]
        m.d.sync += [
            self.overflow.eq((Cat(lane.overflow for lane in lanes) & raises).any()),
            self.invalid.eq((Cat(lane.invalid for lane in lanes) & raises).any()),
        ]

        self.count(m, entering=enter, lanes=Mux(enter, fetch.lanes_used, 0))
        return m

    def _decode(self, m: Module):
        """What the settings of the command mean to a lane."""
        settings = self.command.settings
        control = Signal(lane_control(self._format))
        step = settings.operation == Operation.STEP
        m.d.comb += [
            control.step.eq(step),
            control.t_acc.eq(settings.t_acc | ~step),
            control.x.eq(Mux(step, Source.U, settings.x)),
            control.y.eq(Mux(step, self.KIND.step_y, settings.y)),
            control.subtract.eq(settings.operation == Operation.SUBTRACT),
            control.multiply.eq(settings.operation == Operation.MULTIPLY),
            control.compare.eq(settings.operation == Operation.COMPARE),
            control.reads_psum.eq(step | vector_uses(settings, Source.CONV)),
            control.scale.eq(settings.scale),
            control.alpha.eq(Mux(step, settings.alpha, one(self._format))),
            control.scalar.eq(Mux(step, settings.alpha, settings.scalar)),
            control.th_f.eq(settings.th_f),
            control.low.eq(Mux(step, getattr(settings, self.KIND.step_low), settings.th_l)),
            control.high.eq(settings.th_r),
        ]
        return control
