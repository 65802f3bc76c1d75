"""The forward pass: layer by layer over the whole batch, on the FP sub-core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram_layout import spikes_of
from backspike.compiler.memory.parts import PART_CYCLES, Cut, Room, WeightRoom, choose, span
from backspike.compiler.order.hazards import OrderedProgram
from backspike.compiler.order.timeline import Moment
from backspike.compiler.planning.context import Builder, CoreContext
from backspike.compiler.planning.operations import (
    add_soma,
    clear_statuses,
    convolve_forward,
    tell_forward,
)
from backspike.compiler.planning.weights import WeightPlan

__all__ = ["cut_forward", "first_rows", "forward"]


def first_rows(layer: Lowered, cut: Cut) -> dict[str, set[int]]:
    """Rows that copies of the forward pass begin with, by the region of the maps."""
    found = [layer.fp_strip(strip) for strip in cut.strips]
    return {
        spikes_of(layer.index - 1): {each[1] for each in found if each},
        spikes_of(layer.index): {strip.start for strip in cut.strips},
        f"u {layer.index}": {layer.neuron_rows(strip).start for strip in cut.strips},
    }


def cut_forward(
    layer: Lowered, room: Room, weights: WeightRoom, *, rounds: Sequence[range], steps: int
) -> Cut:
    """How a layer is cut for FP; tiles are those of the outputs.

    Raises
    ------
    ValueError
        If the smallest part does not fit.
    """
    conv, batch = layer.conv, rounds[-1].stop

    def needs(strips: tuple[range, ...], tiles: int) -> Mapping[str, int] | None:
        found = [each for strip in strips if (each := layer.fp_strip(strip))]
        if len(found) < len(strips):
            return None
        rows = max(len(layer.neuron_rows(strip)) for strip in strips)
        pooled = max(len(strip) for strip in strips)
        return {
            "fp.s_in": conv.c_tiles * max(each[0].h for each in found) * room.spike_words(conv.w),
            "fp.conv_fp": tiles * rows * conv.f,
            "fp.u": tiles * rows * conv.f,
            "fp.spike": tiles * rows * room.spike_words(conv.f),
            "fp.s_out": tiles * pooled * room.spike_words(layer.pooled[1]),
        }

    def cost(cut: Cut) -> float:
        loads = len(cut.strips) * len(cut.samples) * layer.weight_rows
        rows = sum(each[0].h for strip in cut.strips if (each := layer.fp_strip(strip)))
        words = len(cut.tiles) * batch * rows * conv.c_tiles * room.spike_words(conv.w)
        beats = words * room.word_bytes("fp.s_in") / room.bus_bytes
        return steps * (cut.count * PART_CYCLES + loads + beats)

    def tiles_fit(tiles: tuple[range, ...]) -> bool:
        rows = len(tiles[0]) * conv.c_tiles * layer.tile_rows
        aligned = len(tiles) == 1 or room.aligned(rows)
        return weights.fits(room, rows) and (aligned or weights.resident)

    names = ("fp.s_in", "fp.conv_fp", "fp.u", "fp.spike", "fp.s_out")
    return choose(
        layer,
        "FP",
        rounds,
        capacity={name: room.words(name, 2) for name in names},
        needs=needs,
        cost=cost,
        tiles_fit=tiles_fit,
    )


def forward(context: CoreContext) -> tuple[OrderedProgram, list[Moment]]:
    """The program of the FP sub-core: u and spikes of all layers go to DRAM.

    And when it says so of each round.
    """
    builder = Builder(context, "fp")
    builder.phase("forward")
    clear_statuses(builder)
    pass_ = _Forward(builder, context)
    times = []
    for samples in context.rounds:
        for layer in context.layers:
            pass_.layer(layer, samples)
        times.append(tell_forward(builder, samples))
    return builder, times


class _Forward:
    """The forward pass, and which part of each SRAM is next."""

    def __init__(self, builder: Builder, context: CoreContext):
        self._builder, self._context = builder, context
        self._s_in, self._conv, self._u, self._spike, self._s_out = (
            builder.halves(name) for name in ("s_in", "conv_fp", "u", "spike", "s_out")
        )
        self._weights = WeightPlan(builder, context.forward_weights)

    def layer(self, layer: Lowered, among: range) -> None:
        """A layer, of samples among these."""
        context = self._context
        parts = context.forward[layer.index].parts(context.forward_weights, among)
        for tiles, strip, samples in parts:
            for t in range(context.network.steps):
                what = (
                    f"of layer {layer.index}, {span('sample', samples)}, "
                    f"{span('row', strip)}, step {t}"
                )
                if t < layer.input_steps:
                    self._convolve(layer, tiles, strip, samples, t, what)
                self._fire(layer, tiles, strip, samples, t, what)

    def _convolve(
        self, layer: Lowered, tiles: range, strip: range, samples: range, t: int, what: str
    ) -> None:
        """conv_fp of a time step, or of an input that is the same at all of them."""
        builder, layout = self._builder, self._context.layout
        found = layer.fp_strip(strip)
        assert found is not None
        conv, begin = found
        weights = self._weights.find(layer, tiles, range(layer.conv.c_tiles))
        psums = self._conv.take()
        for plane in range(layer.planes + 1):
            step = t * (layer.planes + 1) + plane
            spikes = self._s_in.take()
            builder.move(
                "DMA_RD",
                "s_in",
                layout.s_out[layer.index - 1].copies(
                    spikes,
                    steps=range(step, step + 1),
                    samples=samples,
                    tiles=range(conv.c_tiles),
                    rows=range(begin, begin + conv.h),
                ),
                reason=f"input {what}",
            )
            convolve_forward(
                builder,
                layer,
                replace(conv, m_tiles=len(tiles), samples=len(samples)),
                spikes=spikes,
                weights=weights.base,
                psums=psums,
                plane=plane,
                reason=f"FP {what}",
            )

    def _fire(
        self, layer: Lowered, tiles: range, strip: range, samples: range, t: int, what: str
    ) -> None:
        """Potentials and spikes of a time step."""
        builder, layout = self._builder, self._context.layout
        before = (self._u.last, self._spike.last) if t else None
        u, spike, s_out = self._u.take(), self._spike.take(), self._s_out.take()
        add_soma(
            builder,
            layer,
            layer.area(strip, tiles, len(samples)),
            conv=self._conv.last,
            u=u,
            spike=spike,
            s_out=s_out,
            before=before,
            reason=f"Soma {what}",
        )
        where = {"steps": range(t, t + 1), "samples": samples, "tiles": tiles}
        rows = layer.neuron_rows(strip)
        copies = layout.u[layer.index].copies(u, **where, rows=rows)
        builder.move("DMA_WR", "u", copies, reason=f"u {what}")
        copies = layout.s_out[layer.index].copies(s_out, **where, rows=strip)
        builder.move("DMA_WR", "s_out", copies, reason=f"spikes {what}")
