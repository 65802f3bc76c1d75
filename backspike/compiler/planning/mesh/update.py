"""The end of a batch: statuses of all cores, weights, and who else gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram import transfers
from backspike.compiler.order.entry import MessageWaits
from backspike.compiler.order.timeline import Moment
from backspike.compiler.planning.mesh.core_plan import CorePlan
from backspike.compiler.planning.mesh.wiring import Wiring, signal
from backspike.compiler.planning.operations import collect_statuses
from backspike.compiler.planning.update import Delivery, UpdatePlan
from backspike.hw.isa.table import Control

__all__ = ["add_update", "collect"]


def collect(cores: Sequence[CorePlan], wiring: Wiring) -> None:
    """Tells every core of the statuses of all: along a chain, and back.

    On the way there a core adds what it has found when its own work is done; on the way back nobody
    finds anything any more.
    """
    ends = [core.bp for core in cores]
    boxes = {end.place: wiring.box(end) for end in ends} if len(ends) > 1 else {}
    for end in ends:
        end.builder.phase("update")
    waits: MessageWaits = {}
    for number, (here, there) in enumerate(pairwise([*ends, *reversed(ends[:-1])])):
        tag, box = wiring.tag(here, there), boxes[there.place]
        flow = Control.REMOTE_COLLECT
        moment = signal(here, tag, box, "statuses found so far", flow=flow, **waits)
        waits = {"boxes": (box,), "comes": moment}
        if number >= len(ends) - 1:
            collect_statuses(here.builder)
    collect_statuses(ends[0].builder, **waits)


def add_update(cores: Sequence[CorePlan], homes: Mapping[int, CorePlan], wiring: Wiring) -> None:
    """Updates the weights, each on the core that has its gradients.

    They go to its DRAM, and to fp.w and DRAM of the core that does FP of the layer.

    Parameters
    ----------
    homes : mapping of layer to CorePlan
        Who does FP.
    """
    for core in cores:
        rows = UpdatePlan(core.bp.builder)
        for layer in core.gradients:
            first, home = core.context.layout.first_row[layer.index], homes[layer.index]
            if home is core:
                rows.rows(first, layer.weight_rows)
                continue
            tag, box = wiring.tag(core.bp, home.fp), wiring.box(home.fp)
            delivery = Delivery(tag, home.weights[layer.index].base)
            rows.rows(first, layer.weight_rows, delivery)
            comes = signal(core.bp, tag, box, f"there: weights of layer {layer.index}")
            _store(home, layer, box, comes)


def _store(core: CorePlan, layer: Lowered, box: int, comes: Moment) -> None:
    """Keeps the weights that have come to fp.w for the next batch."""
    context, builder = core.context, core.fp.builder
    weight_words, row_bytes = context.config.array.weight_words, context.room.row_bytes
    copies = transfers(
        base=core.weights[layer.index].base,
        dram=context.layout.stored + context.layout.first_row[layer.index] * row_bytes,
        axes=[],
        words=layer.weight_rows // weight_words,
        word_bytes=row_bytes * weight_words,
    )
    what = f"weights of layer {layer.index}"
    builder.move("DMA_WR", "w", copies, reason=what, boxes=(box,), comes=comes)
