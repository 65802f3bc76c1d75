"""BP and Grad of a layer, step by step."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.lowering.neuron import NeuronArea
from backspike.compiler.order.timeline import Moment
from backspike.compiler.planning.loss import loss
from backspike.compiler.planning.mesh.core_plan import CorePlan, PartStep
from backspike.compiler.planning.mesh.schedule import StageWork
from backspike.compiler.planning.mesh.slots import MapWords
from backspike.compiler.planning.mesh.wiring import Edge
from backspike.compiler.planning.operations import add_fire, add_grad, convolve_backward

__all__ = ["BackwardStage", "Received"]


class Received:
    """du of a layer, which comes to a core step by step, and is stored there for WG.

    Parameters
    ----------
    core : CorePlan
    layer : Lowered
    edge : Edge
        Where it comes from.
    kept : bool
        Whether BP reads it, too, which has to :meth:`release` it then.
    """

    def __init__(self, core: CorePlan, layer: Lowered, edge: Edge, *, kept: bool):
        self._core, self._layer, self._edge, self._kept = core, layer, edge, kept
        self._builder = core.bp.builder
        self._steps = iter(core.steps(last_first=True))
        self._there: deque[tuple[int, int]] = deque()
        self._stored: list[tuple[int, Moment]] = []

    def works(self) -> list[StageWork]:
        """What is to be done."""
        return [StageWork(self._builder, self._ready, self._store)]

    def _ready(self) -> int | None:
        arrival = self._edge.arrival
        return None if arrival is None else max(self._builder.timeline.free["write"], arrival.done)

    def _store(self) -> None:
        base, waits = self._edge.receive()
        layer, step = self._layer, next(self._steps)
        what = f"du of layer {layer.index}, {step}"
        copies = step.copies(self._core.context.layout.du[layer.index], base)
        moment = self._builder.move("DMA_WR", "du_next", copies, reason=what, **waits)
        if step.t == 0:
            self._stored.append((step.samples.stop, moment))
        if self._kept:
            self._there.append((base, moment.done))
        else:
            self.release(what)

    @property
    def arrival(self) -> int | None:
        """When BP may read that of the next step, about, if that is known."""
        return self._there[0][1] if self._there else None

    def take(self) -> int:
        """Where that of the next step lies."""
        return self._there.popleft()[0]

    def release(self, what: str) -> None:
        """Others may come where that of the step lies that was read first."""
        self._edge.release(f"read: {what}")

    def stored(self, samples: int) -> Moment | None:
        """When DRAM holds that of the first so many samples, if that is known."""
        return next((moment for stop, moment in self._stored if stop >= samples), None)


class BackwardStage:
    """From du of the layer behind, or from the loss, to du of this layer.

    Of each step, potentials come and fire is found as soon as there is room for them, then comes
    BP, then Grad.

    Parameters
    ----------
    core : CorePlan
    layer : Lowered
    received : Received, optional
        du of the layer behind, if there is one.
    target : Edge
        Takes du of this layer.
    """

    def __init__(self, core: CorePlan, layer: Lowered, received: Received | None, target: Edge):
        self._core, self._layer = core, layer
        self._received, self._target = received, target
        self._builder = core.bp.builder
        self._steps = core.steps(last_first=True)
        self._prepared = self._convolved = self._done = self._lost = 0

    def works(self) -> list[StageWork]:
        """What is to be done."""
        find = [StageWork(self._builder, self._ready_for_loss, self._find_loss)]
        if self._received:
            find = [
                StageWork(self._builder, self._ready_to_convolve, self._convolve),
                *self._received.works(),
            ]
        return [
            StageWork(self._builder, self._ready_to_prepare, self._prepare),
            *find,
            StageWork(self._builder, self._ready_for_grad, self._grad),
        ]

    def _free(self, unit: str) -> int:
        return self._builder.timeline.free[unit]

    def _area(self, step: PartStep) -> NeuronArea:
        return self._layer.whole_area(len(step.samples))

    # --- Potentials and fire ----------------------------------------------------------------

    def _ready_to_prepare(self) -> int | None:
        rings = (self._core.back_u, self._core.bits)
        slots = [len(each[self._layer.index].bases) for each in rings if self._layer.index in each]
        if self._prepared == min(len(self._steps), self._done + min(slots)):
            return None
        told = self._core.told(self._steps[self._prepared].part)
        return None if told is None else max(self._free("read"), told.done)

    def _prepare(self) -> None:
        core, layer, step = self._core, self._layer, self._steps[self._prepared]
        layout, what = core.context.layout, f"of layer {layer.index}, {step}"
        core.take(step.part)
        step.u = core.back_u[layer.index].take()
        copies = step.copies(layout.u[layer.index], step.u)
        relies = step.samples
        self._builder.move("DMA_RD", "u", copies, reason=f"u {what}", relies=relies)
        if layer.layer.pool > 1:
            step.bits = core.bits[layer.index].take()
            copies = step.copies(layout.s_out[layer.index], step.bits)
            reason = f"pooled spikes {what}"
            self._builder.move("DMA_RD", "s", copies, reason=reason, relies=relies)
        elif layer.masked and self._received:
            step.bits = core.bits[layer.index].take()
            add_fire(
                self._builder,
                layer,
                self._area(step),
                u=step.u,
                fire=step.bits,
                reason=f"fire {what}",
            )
        self._prepared += 1

    # --- The loss, or BP --------------------------------------------------------------------

    def _ready_for_loss(self) -> int | None:
        core = self._core
        done = self._done // core.context.network.steps
        if self._lost == min(len(core.parts), done + len(core.loss.conv.bases)):
            return None
        told = core.told(self._lost)
        return None if told is None else max(self._free("grad"), told.done)

    def _find_loss(self) -> None:
        core = self._core
        core.take(self._lost)
        tiles = range(self._layer.conv.m_tiles)
        psums = loss(self._builder, core.loss, tiles, core.parts[self._lost])
        for step in self._steps:
            if step.part == self._lost:
                step.psums, step.there = psums, self._free("grad")
        self._lost += 1
        self._convolved = self._lost * core.context.network.steps

    def _ready_to_convolve(self) -> int | None:
        assert self._received is not None
        number = self._convolved
        if (
            number == self._prepared
            or not self._target.is_free(number)
            or not self._core.back_psums
        ):
            return None
        arrival = self._received.arrival
        return None if arrival is None else max(self._free("bp"), arrival)

    def _convolve(self) -> None:
        assert self._received is not None
        core, layer, step = self._core, self._layer, self._steps[self._convolved]
        after = core.context.layers[layer.index + 1]
        step.psums = core.back_psums.popleft()
        moment = convolve_backward(
            self._builder,
            replace(after.conv, samples=len(step.samples)),
            du=self._received.take(),
            weights=core.back_weights[after.index],
            psums=step.psums,
            fire=step.bits if layer.masked else None,
            reason=f"BP of layer {layer.index}, {step}",
        )
        step.there = moment.done
        self._convolved += 1

    # --- Grad -------------------------------------------------------------------------------

    def _ready_for_grad(self) -> int | None:
        number = self._done
        if number == min(self._prepared, self._convolved) or not self._target.is_free(number):
            return None
        return max(self._free("grad"), self._steps[number].there)

    def _grad(self) -> None:
        core, layer, step = self._core, self._layer, self._steps[self._done]
        ring = core.du[layer.index]
        last = step.t == core.context.network.steps - 1
        du_after = None if last else ring.last
        what = f"of layer {layer.index}, {step}"
        add_grad(
            self._builder,
            layer,
            self._area(step),
            conv=step.psums,
            u=step.u,
            du=ring.take(),
            du_after=du_after,
            s_out=step.bits if layer.layer.pool > 1 else None,
            reason=f"Grad {what}",
        )
        if self._received:
            core.back_psums.append(step.psums)
        words = MapWords(room=core.context.room, samples=len(step.samples)).neurons(layer)
        self._target.send(ring.last, words, f"du {what}")
        if self._received:
            self._received.release(f"du behind {what}")
        self._done += 1
