"""WG of the layers of a core, group of samples by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.order.timeline import Moment
from backspike.compiler.planning.blocks import GradientBlocks
from backspike.compiler.planning.gradients import Gradients
from backspike.compiler.planning.mesh.backward import Received
from backspike.compiler.planning.mesh.core_plan import CorePlan
from backspike.compiler.planning.mesh.schedule import StageWork

__all__ = ["GradientStage"]


class GradientStage:
    """One group after the other, of whatever layer there is du of first.

    Parameters
    ----------
    core : CorePlan
    received : mapping of layer to Received
    blocks : mapping of layer to GradientBlocks
    """

    def __init__(
        self, core: CorePlan, received: Mapping[int, Received], blocks: Mapping[int, GradientBlocks]
    ):
        self._core, self._received = core, received
        self._gradients = Gradients(core.bp.builder, blocks)
        self._left = [(layer, list(self._gradients.groups(layer))) for layer in core.gradients]
        self._current: Iterator[None] = iter(())
        self._begun = False

    def works(self) -> list[StageWork]:
        """What is to be done."""
        return [StageWork(self._core.bp.builder, self._ready, self._add)]

    def _ready(self) -> int | None:
        free = self._core.bp.builder.timeline.free["wg"]
        if self._begun:
            return free
        found = self._first()
        return found and max(free, found[0])

    def _first(self) -> tuple[int, Lowered, list[range]] | None:
        """When there is du of a group, its layer, and all groups that are left of it."""
        found = [
            (moment.done, number)
            for number, (layer, groups) in enumerate(self._left)
            if groups and (moment := self._there(layer, groups[0].stop))
        ]
        if not found:
            return None
        at, number = min(found)
        return at, *self._left[number]

    def _there(self, layer: Lowered, samples: int) -> Moment | None:
        """When du of the first so many samples is in DRAM, if their spikes are known to be."""
        if layer.index and not self._core.knows(samples):
            return None
        return self._received[layer.index].stored(samples)

    def _add(self) -> None:
        if not self._begun:
            found = self._first()
            assert found is not None
            _, layer, groups = found
            self._current = self._gradients.group(layer, groups.pop(0))
        self._begun = next(self._current, False) is None
