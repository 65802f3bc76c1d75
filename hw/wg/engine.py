"""The WG engine: makes the weight gradients of a layer from a start command to done."""

from __future__ import annotations

from typing import Self

from amaranth import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Out, connect, flipped
from amaranth.utils import bits_for

from backspike.hw.arith.format import BINARY32, Float
from backspike.hw.component import Parameter
from backspike.hw.config import ChipConfig
from backspike.hw.engine import Engine
from backspike.hw.isa.wg.command import WgCommand
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.memory.stream import ReadStream
from backspike.hw.wg.array import WgArray
from backspike.hw.wg.picker import WgPicker, WgVector
from backspike.hw.wg.readout import WgReadout
from backspike.hw.wg.scanner import WgScanner, count_ones

__all__ = ["WgEngine"]


class WgEngine(Engine):
    """Weight gradients: dw[m, c, r, s] from spikes and gradients of potentials.

    Takes one cycle per vector of spikes that is not silent (``skip``; else per pixel under a
    window) and position, one more a position, and another where the last row of a position lies in
    the padding or is silent; at the end some 25 and the readout of the last position. A position
    lasts at least as long as the readout of the one before
    (:class:`backspike.hw.wg.readout.WgReadout`), and a cycle more.

    Parameters
    ----------
    format, lanes, pixels, dw_lanes
        ``format``, ``array.lanes``, ``array.spike_pixels`` and ``array.dw_lanes`` of the
        configuration.

    Members
    -------
    spike_read : Out(ReadPort), du_read : Out(ReadPort)
        A word is P pixels x L spikes; L values of one pixel.
    dw_read : Out(ReadPort), dw_write : Out(WritePort)
        A word is L binary32 values; read with ``dw_acc`` only. For the other members see
        :class:`backspike.hw.engine.Engine`: ``busy`` counts vectors that enter the array,
        ``skipped`` those left out, ``lanes`` the columns that add.

    Raises
    ------
    ValueError
        If the sums do not fit 64 bits or ``dw_lanes`` does not divide ``lanes``.
    """

    _format = Parameter[Float]()
    _lanes = Parameter[int]()
    _pixels = Parameter[int]()
    _dw_lanes = Parameter[int]()

    def __init__(self, *, format: Float, lanes: int, pixels: int, dw_lanes: int):
        format.check_sums_fit()
        if dw_lanes < 1 or lanes % dw_lanes:
            raise ValueError(f"dw_lanes must divide the {lanes} lanes, not {dw_lanes!r}")
        super().__init__(
            command=WgCommand,
            ports={
                "spike_read": Out(ReadPort(width=pixels * lanes)),
                "du_read": Out(ReadPort(width=format.width * lanes)),
                "dw_read": Out(ReadPort(width=BINARY32.width * lanes)),
                "dw_write": Out(WritePort(width=BINARY32.width * lanes, granules=lanes)),
            },
            counts={"skipped": bits_for(pixels), "lanes": bits_for(lanes)},
            parameters={
                "format": format,
                "lanes": lanes,
                "pixels": pixels,
                "dw_lanes": dw_lanes,
            },
        )

    @classmethod
    def from_config(cls, config: ChipConfig) -> Self:
        """The engine of a core of ``config``."""
        array = config.array
        return cls(
            format=config.format,
            lanes=array.lanes,
            pixels=array.spike_pixels,
            dw_lanes=array.dw_lanes,
        )

    def elaborate(self, platform):
        m = Module()
        command = self.command
        m.submodules.scanner = scanner = WgScanner(lanes=self._lanes, pixels=self._pixels)
        m.submodules.picker = picker = WgPicker(lanes=self._lanes, pixels=self._pixels)
        step = picker.o.payload
        m.submodules.du = du = ReadStream(
            width=self._format.width * self._lanes, tag_bits=WgVector(self._lanes).size
        )
        m.submodules.array = array = WgArray(
            format=self._format, lanes=self._lanes, dw_lanes=self._dw_lanes
        )
        m.submodules.readout = readout = WgReadout(
            format=self._format, lanes=self._lanes, dw_lanes=self._dw_lanes
        )
        connect(m, scanner.port, flipped(self.spike_read))
        connect(m, scanner.o, picker.i)
        connect(m, du.port, flipped(self.du_read))
        connect(m, readout.read, flipped(self.dw_read))
        connect(m, readout.write, flipped(self.dw_write))

        begins = self.sequence(m, readout.idle)
        m.d.comb += [
            scanner.start.eq(begins),
            scanner.command.eq(command),
            readout.start.eq(begins),
            readout.command.eq(command),
        ]
        m.d.comb += [
            picker.stride.eq(command.stride),
            du.i_valid.eq(picker.o.valid),
            picker.o.ready.eq(du.i_ready),
            du.i_addr.eq(step.addr),
            du.i_read.eq(step.vector.read),
            du.i_tag.eq(step.vector),
        ]

        self._enter(m, du, array, readout, begins)
        m.d.comb += [
            array.load.eq(readout.load),
            array.row.eq(readout.row),
            array.group.eq(readout.group),
            *(readout.sums[lane].eq(array.sums[lane]) for lane in range(self._dw_lanes)),
            self.overflow.eq(readout.overflow),
            self.invalid.eq(readout.invalid),
        ]
        self.count(
            m,
            entering=array.enter,
            skipped=scanner.skipped,
            lanes=count_ones(m, Mux(array.enter, array.spikes, 0), "adding"),
        )
        return m

    def _enter(self, m: Module, du: ReadStream, array: WgArray, readout: WgReadout, begins):
        """Vectors enter the array, and a position's sums are handed to the readout."""
        # The cycle after the last vector has entered it is added (``ends``); from the next one on
        # the sums are ``full``, until they are captured, as soon as the copies have been read.
        vector = data.View(WgVector(self._lanes), du.o_tag)
        ends, full, capture = Signal(), Signal(), Signal()
        m.d.comb += [
            capture.eq(full & readout.free),
            du.o_ready.eq(~ends & (~full | capture)),
            array.enter.eq(du.o_valid & du.o_ready & vector.read),
            array.du.eq(du.o_data),
            array.spikes.eq(vector.spikes),
            array.clear.eq(capture | begins),
            array.capture.eq(capture),
            readout.captured.eq(capture),
        ]
        m.d.sync += [
            ends.eq(du.o_valid & du.o_ready & vector.last),
            full.eq(ends | (full & ~capture)),
        ]
        with m.If(du.o_ready):
            m.d.sync += [readout.last_m.eq(vector.last_m), readout.last_c.eq(vector.last_c)]
