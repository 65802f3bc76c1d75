"""FP of a layer, step by step."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.order.timeline import START
from backspike.compiler.planning.mesh.core_plan import CorePlan, PartStep
from backspike.compiler.planning.mesh.schedule import StageWork
from backspike.compiler.planning.mesh.slots import MapWords
from backspike.compiler.planning.mesh.wiring import Edge
from backspike.compiler.planning.operations import add_soma, convolve_forward

__all__ = ["ForwardStage"]


class ForwardStage:
    """Takes spikes of a step from ``source``, or the input from DRAM, and gives some to ``target``.

    Parameters
    ----------
    core : CorePlan
    layer : Lowered
    source, target : Edge, optional
        The first layer has no source, and the last one no target.
    """

    def __init__(self, core: CorePlan, layer: Lowered, source: Edge | None, target: Edge | None):
        self._core, self._layer = core, layer
        self._source, self._target = source, target
        self._builder = core.fp.builder
        self._steps = core.steps()
        self._convolved = self._fired = 0
        # Psums of an input that is the same at all steps are those of all steps of a part.
        self._same = core.context.network.steps // layer.input_steps

    def works(self) -> list[StageWork]:
        """What is to be done."""
        return [
            StageWork(self._builder, self._ready_to_fire, self._fire),
            StageWork(self._builder, self._ready_to_convolve, self._convolve),
        ]

    def _may_send(self, number: int) -> bool:
        return self._target is None or self._target.is_free(number)

    # --- FP ---------------------------------------------------------------------------------

    def _ready_to_convolve(self) -> int | None:
        number, core = self._convolved, self._core
        if number == len(self._steps) or not core.may_begin(self._steps[number].part):
            return None
        if not core.psums[self._layer.index] or not self._may_send(number):
            return None
        arrival = self._source.arrival if self._source else START
        return None if arrival is None else max(self._builder.timeline.free["fp"], arrival.done)

    def _convolve(self) -> None:
        core, layer, first = self._core, self._layer, self._steps[self._convolved]
        psums = core.psums[layer.index].popleft()
        what = f"of layer {layer.index}, {first}"
        find = partial(
            convolve_forward,
            self._builder,
            layer,
            replace(layer.conv, samples=len(first.samples)),
            weights=core.weights[layer.index].base,
            psums=psums,
            reason=f"FP {what}",
        )
        if self._source:
            spikes, waits = self._source.receive()
            moment = find(spikes=spikes, **waits)
        else:
            for plane in range(layer.planes + 1):
                moment = find(spikes=self._load(first, plane), plane=plane)
        for step in self._steps[self._convolved : self._convolved + self._same]:
            step.psums, step.there = psums, moment.done
        self._convolved += self._same

    def _load(self, step: PartStep, plane: int) -> int:
        """Loads a bit plane of the input; where to."""
        core, layer, planes = self._core, self._layer, self._layer.planes + 1
        spikes, first = core.s_in[layer.index].take(), step.t * planes + plane
        copies = core.context.layout.s_out[-1].copies(
            spikes,
            steps=range(first, first + 1),
            samples=step.samples,
            tiles=range(layer.conv.c_tiles),
        )
        self._builder.move("DMA_RD", "s_in", copies, reason=f"input {step}, plane {plane}")
        return spikes

    # --- Soma -------------------------------------------------------------------------------

    def _ready_to_fire(self) -> int | None:
        number = self._fired
        if number == self._convolved or not self._may_send(number):
            return None
        return max(self._builder.timeline.free["soma"], self._steps[number].there)

    def _fire(self) -> None:
        core, layer, builder = self._core, self._layer, self._builder
        layout, index, step = core.context.layout, self._layer.index, self._steps[self._fired]
        what = f"of layer {index}, {step}"
        u, spike, s_out = core.u[index], core.spike[index], core.s_out[index]
        before = (u.last, spike.last) if step.t else None
        add_soma(
            builder,
            layer,
            layer.whole_area(len(step.samples)),
            conv=step.psums,
            u=u.take(),
            spike=spike.take(),
            s_out=s_out.take(),
            before=before,
            reason=f"Soma {what}",
        )
        if self._target:
            words = MapWords(room=core.context.room, samples=len(step.samples)).pooled(layer)
            self._target.send(s_out.last, words, f"spikes {what}")
        if self._source:
            self._source.release(f"read: input {what}")
        builder.move("DMA_WR", "u", step.copies(layout.u[index], u.last), reason=f"u {what}")
        copies = step.copies(layout.s_out[index], s_out.last)
        builder.move("DMA_WR", "s_out", copies, reason=f"spikes {what}")
        self._fired += 1
        if self._fired % self._same == 0:
            core.psums[index].append(step.psums)
        if self._fired % core.context.network.steps == 0:
            core.finish(step.part)
