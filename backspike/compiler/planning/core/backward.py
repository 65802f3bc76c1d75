"""BP and Grad of the BP sub-core: from the loss to du of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram_layout import spikes_of
from backspike.compiler.memory.parts import PART_CYCLES, Cut, Room, WeightRoom, choose, span
from backspike.compiler.planning.context import Builder, CoreContext
from backspike.compiler.planning.loss import BackwardRings, loss
from backspike.compiler.planning.operations import add_fire, add_grad, convolve_backward
from backspike.compiler.planning.weights import WeightPlan

__all__ = ["Backward", "cut_backward", "first_rows"]


def first_rows(layer: Lowered, after: Lowered | None, cut: Cut) -> dict[str, set[int]]:
    """Rows that copies of the backward pass begin with, by the region of the maps."""
    neurons = {layer.neuron_rows(strip).start for strip in cut.strips}
    rows = {
        f"u {layer.index}": neurons,
        f"du {layer.index}": neurons,
        spikes_of(layer.index): {strip.start for strip in cut.strips},
    }
    if after:
        found = [after.bp_strip(strip) for strip in cut.strips]
        rows[f"du {after.index}"] = {each[1] for each in found if each}
    return rows


def cut_backward(
    layer: Lowered,
    after: Lowered | None,
    room: Room,
    weights: WeightRoom,
    *,
    rounds: Sequence[range],
    steps: int,
) -> Cut:
    """How a layer is cut for BP of the layer ``after``, if there is one, and its own Grad.

    Tiles are those of this layer's channels.

    Raises
    ------
    ValueError
        If the smallest part does not fit.
    """
    columns, batch = layer.pooled[1], rounds[-1].stop

    def needs(strips: tuple[range, ...], tiles: int) -> Mapping[str, int] | None:
        pooled = max(len(strip) for strip in strips)
        pixels = max(len(layer.neuron_rows(strip)) for strip in strips) * layer.conv.f
        words = {
            "bp.conv_bp": tiles * pooled * columns,
            "bp.u": tiles * pixels,
            "bp.du": tiles * pixels,
            "bp.s": tiles * pooled * room.spike_words(columns),
        }
        if after:
            found = [each for strip in strips if (each := after.bp_strip(strip))]
            if len(found) < len(strips):
                return None
            rows = max(each[0].e for each in found)
            words["bp.du_next"] = after.conv.m_tiles * rows * after.conv.f
        return words

    def cost(cut: Cut) -> float:
        cycles = float(cut.count * PART_CYCLES)
        if after:
            cycles += len(cut.strips) * len(cut.samples) * after.weight_rows
            rows = sum(each[0].e for strip in cut.strips if (each := after.bp_strip(strip)))
            words = len(cut.tiles) * batch * rows * after.conv.f * after.conv.m_tiles
            cycles += words * room.word_bytes("bp.du_next") / room.bus_bytes
        return steps * cycles

    def tiles_fit(tiles: tuple[range, ...]) -> bool:
        if after is None:
            return True
        rows = len(tiles[0]) * after.tile_rows
        aligned = room.aligned(rows) and room.aligned(layer.conv.m_tiles * after.tile_rows)
        fits = weights.fits(room, after.conv.m_tiles * rows)
        return fits and (len(tiles) == 1 or aligned or weights.resident)

    shares = {"bp.conv_bp": 2, "bp.u": 2, "bp.du": 2, "bp.s": 4, "bp.du_next": 4}
    return choose(
        layer,
        "BP",
        rounds,
        capacity={name: room.words(name, share) for name, share in shares.items()},
        needs=needs,
        cost=cost,
        tiles_fit=tiles_fit,
    )


@dataclass
class StripStep:
    """A time step of a part, and where its operands lie."""

    tiles: range
    strip: range
    samples: range
    t: int
    what: str
    u: int = 0
    bits: int = 0
    du_next: int = 0
    psums: int = 0

    @property
    def where(self) -> dict[str, range]:
        """Which part of maps of the layer it is, but for the rows."""
        return {
            "steps": range(self.t, self.t + 1),
            "samples": self.samples,
            "tiles": self.tiles,
        }


class Backward:
    """The backward pass, and which part of each SRAM is next.

    :meth:`layer` adds the instructions of a layer to the program, a time step at a time, and stops
    in between, so that those of WG can be put there; :meth:`ready` says which.
    """

    def __init__(self, builder: Builder, context: CoreContext):
        self._builder, self._context = builder, context
        self._rings = BackwardRings.of(builder)
        self._du_next = builder.quarters("du_next", 0)  # WG has the rest
        self._weights = WeightPlan(builder, context.backward_weights)
        self._parts_left = [
            dict.fromkeys(cut.samples, len(cut.tiles) * len(cut.strips)) for cut in context.backward
        ]

    def ready(self, layer: Lowered, samples: int) -> bool:
        """Whether du of the first so many samples is in the program, at all steps."""
        return not any(
            left and part.start < samples for part, left in self._parts_left[layer.index].items()
        )

    def layer(self, layer: Lowered, among: range) -> Iterator[None]:
        """du of a layer and samples, from du of the layer behind it, or from the loss."""
        if layer is self._context.layers[-1]:
            return self._last_layer(layer, among)
        return self._inner_layer(layer, among)

    def _steps(self, layer: Lowered, among: range) -> Iterator[StripStep]:
        """All parts, and of each the steps, last to first."""
        context = self._context
        parts = context.backward[layer.index].parts(context.backward_weights, among)
        for tiles, strip, samples in parts:
            for t in reversed(range(context.network.steps)):
                what = f"{span('sample', samples)}, {span('row', strip)}, step {t}"
                yield StripStep(tiles, strip, samples, t, f"of layer {layer.index}, {what}")

    def _last_layer(self, layer: Lowered, among: range) -> Iterator[None]:
        for step in self._steps(layer, among):
            if step.t == self._context.network.steps - 1:
                psums = loss(self._builder, self._rings, step.tiles, step.samples)
            step.psums = psums
            self._load(layer, step)
            self._grad(layer, step)
            yield

    def _inner_layer(self, layer: Lowered, among: range) -> Iterator[None]:
        """The array works on a step while Grad works on the one before it.

        Fire of a step is made in front of Grad of the step before: it would wait for the array.
        """
        after = self._context.layers[layer.index + 1]
        before: StripStep | None = None
        for step in self._steps(layer, among):
            self._load(layer, step)
            self._load_after(after, step)
            if layer.masked:
                step.bits = self._rings.s.take()
                add_fire(
                    self._builder,
                    layer,
                    layer.area(step.strip, step.tiles, len(step.samples)),
                    u=step.u,
                    fire=step.bits,
                    reason=f"fire {step.what}",
                )
            if before:
                self._grad(layer, before)
            self._convolve(layer, after, step)
            before = step
            yield
        assert before is not None
        self._grad(layer, before)
        yield

    def _load(self, layer: Lowered, step: StripStep) -> None:
        """u, and the pooled spikes that say where a gradient goes."""
        layout, rows = self._context.layout, layer.neuron_rows(step.strip)
        step.u = self._rings.u.take()
        copies = layout.u[layer.index].copies(step.u, **step.where, rows=rows)
        self._builder.move("DMA_RD", "u", copies, reason=f"u {step.what}")
        if layer.layer.pool > 1:
            step.bits = self._rings.s.take()
            copies = layout.s_out[layer.index].copies(step.bits, **step.where, rows=step.strip)
            self._builder.move("DMA_RD", "s", copies, reason=f"pooled spikes {step.what}")

    def _load_after(self, after: Lowered, step: StripStep) -> None:
        """du of the layer behind."""
        found = after.bp_strip(step.strip)
        assert found is not None
        conv, begin = found
        step.du_next = self._du_next.take()
        copies = self._context.layout.du[after.index].copies(
            step.du_next,
            **step.where | {"tiles": range(conv.m_tiles)},
            rows=range(begin, begin + conv.e),
        )
        self._builder.move("DMA_RD", "du_next", copies, reason=f"du behind {step.what}")

    def _convolve(self, layer: Lowered, after: Lowered, step: StripStep) -> None:
        """conv_bp."""
        found = after.bp_strip(step.strip)
        assert found is not None
        conv = replace(found[0], c_tiles=len(step.tiles), samples=len(step.samples))
        weights = self._weights.find(after, range(conv.m_tiles), step.tiles)
        step.psums = self._rings.conv.take()
        convolve_backward(
            self._builder,
            conv,
            du=step.du_next,
            weights=weights,
            psums=step.psums,
            fire=step.bits if layer.masked else None,
            reason=f"BP {step.what}",
        )

    def _grad(self, layer: Lowered, step: StripStep) -> None:
        """du."""
        context = self._context
        du_after = self._rings.du.last if step.t < context.network.steps - 1 else None
        du = self._rings.du.take()
        add_grad(
            self._builder,
            layer,
            layer.area(step.strip, step.tiles, len(step.samples)),
            conv=step.psums,
            u=step.u,
            du=du,
            du_after=du_after,
            s_out=step.bits if layer.layer.pool > 1 else None,
            reason=f"Grad {step.what}",
        )
        rows = layer.neuron_rows(step.strip)
        copies = context.layout.du[layer.index].copies(du, **step.where, rows=rows)
        self._builder.move("DMA_WR", "du", copies, reason=f"du {step.what}")
        if step.t == 0:
            self._parts_left[layer.index][step.samples] -= 1
