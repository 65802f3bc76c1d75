"""The WG array: one exact accumulator for each pair of an output and an input channel."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hw.arith.fixed import ToFixed
from hw.arith.format import Float
from hw.component import EmitOnce

__all__ = ["WgArray", "WgColumn"]


class WgColumn(EmitOnce):
    """The accumulators of one input channel, and the registers that they are read out from.

    acc[m] = exact sum of du[m] over the cycles with ``take`` since ``clear``. A column that does
    not take holds every register. The copy made by ``capture`` is read while the next sum grows.
    Latency one cycle from operands to accumulator, and from ``load`` to ``value``; throughput one
    vector a cycle.

    Parameters
    ----------
    format : Float
        Of du: accumulators have ``format.psum_bits``.
    lanes : int
        Output channels m.

    Members
    -------
    take : In(1)
        The channel has a spike.
    du : In(signed(fixed_bits)) x lanes, special : In(lanes)
        Gradients on the fixed-point grid, and those that were NaN or infinite.
    clear : In(1)
        All accumulators become 0; wins over ``take``.
    capture : In(1)
        Copy the accumulators as they are before this cycle's ``take`` or ``clear``.
    load : In(1), row : In
        ``value`` becomes the copy of accumulator ``row``.
    value : Out(signed(psum_bits))
        -2**(psum_bits-1) if a special du took part.
    """

    def __init__(self, *, format: Float, lanes: int):
        self._format = format
        self._lanes = lanes
        super().__init__(
            {
                "take": In(1),
                "du": In(signed(format.fixed_bits)).array(lanes),
                "special": In(lanes),
                "clear": In(1),
                "capture": In(1),
                "load": In(1),
                "row": In(range(lanes)),
                "value": Out(signed(format.psum_bits)),
            },
            format=format,
            lanes=lanes,
        )

    def elaborate(self, platform):
        m = Module()
        # No register here needs a reset: the engine clears before it adds, and reads what it
        # captured. ``clear`` is a synchronous reset, so it costs no gate in front of the adder.
        shape = signed(self._format.psum_bits)
        selected, bad_selected = Signal(shape), Signal()
        bad = Signal(self._lanes, reset_less=True)
        bad_copy = Signal(self._lanes, reset_less=True)
        copies = []
        for row in range(self._lanes):
            acc = Signal(shape, name=f"acc_{row}", reset_less=True)
            copy = Signal(shape, name=f"copy_{row}", reset_less=True)
            copies.append(copy)
            with m.If(self.clear):
                m.d.sync += acc.eq(0)
            with m.Elif(self.take):
                m.d.sync += acc.eq(acc + self.du[row])
            with m.If(self.capture):
                m.d.sync += copy.eq(acc)
        with m.If(self.clear):
            m.d.sync += bad.eq(0)
        with m.Elif(self.take):
            m.d.sync += bad.eq(bad | self.special)
        with m.If(self.capture):
            m.d.sync += bad_copy.eq(bad)

        with m.Switch(self.row):
            for row, copy in enumerate(copies):
                with m.Case(row):
                    m.d.comb += [selected.eq(copy), bad_selected.eq(bad_copy[row])]
        value = Signal(shape, reset_less=True)
        with m.If(self.load):
            m.d.sync += value.eq(Mux(bad_selected, shape_min(shape), selected))
        m.d.comb += self.value.eq(value)
        return m


def shape_min(shape) -> int:
    """The most negative integer of a signed shape."""
    return -(1 << (shape.width - 1))


class WgArray(EmitOnce):
    """L x L accumulators with the converters in front of them.

    A vector of L values of du enters with ``enter``; the columns with a spike add it one cycle
    later. Latency two cycles from ``enter`` to the accumulators; throughput one vector a cycle.

    Parameters
    ----------
    format : Float
        Of du.
    lanes : int
        L.

    Members
    -------
    enter : In(1), du : In(lanes * format.width), spikes : In(lanes)
    clear, capture, load, row
        Of :class:`WgColumn`, the same for all columns.
    value : Out(signed(psum_bits)) x lanes
        By input channel.
    """

    def __init__(self, *, format: Float, lanes: int):
        self._format = format
        self._lanes = lanes
        super().__init__(
            {
                "enter": In(1),
                "du": In(lanes * format.width),
                "spikes": In(lanes),
                "clear": In(1),
                "capture": In(1),
                "load": In(1),
                "row": In(range(lanes)),
                "value": Out(signed(format.psum_bits)).array(lanes),
            },
            format=format,
            lanes=lanes,
        )

    def elaborate(self, platform):
        m = Module()
        takes = Signal()
        take = Signal(self._lanes)
        special = Signal(self._lanes, reset_less=True)
        fixed = []
        # A vector that no column adds stays outside.
        m.d.comb += takes.eq(self.enter & self.spikes.any())
        m.d.sync += take.eq(Mux(self.enter, self.spikes, 0))
        for lane in range(self._lanes):
            m.submodules[f"convert_{lane}"] = convert = ToFixed(format=self._format)
            value = Signal(signed(self._format.fixed_bits), name=f"fixed_{lane}", reset_less=True)
            fixed.append(value)
            m.d.comb += convert.i.eq(self.du.word_select(lane, self._format.width))
            with m.If(takes):
                m.d.sync += [value.eq(convert.o), special[lane].eq(convert.special)]
        for lane in range(self._lanes):
            m.submodules[f"column_{lane}"] = column = WgColumn(
                format=self._format, lanes=self._lanes
            )
            m.d.comb += [
                column.take.eq(take[lane]),
                *(column.du[row].eq(fixed[row]) for row in range(self._lanes)),
                column.special.eq(special),
                column.clear.eq(self.clear),
                column.capture.eq(self.capture),
                column.load.eq(self.load),
                column.row.eq(self.row),
                self.value[lane].eq(column.value),
            ]
        return m
