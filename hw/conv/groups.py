"""The loops over groups of tiles, which the fetch of inputs and the loader of weights share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Module

from backspike.hw.memory.loops import LoopNest

__all__ = ["group_nest"]


def group_nest(m: Module, at: Mapping[str, int], command: Any) -> LoopNest:
    """A nest of two values whose last group may have fewer tiles, and fewer rows of the kernel.

    ``at`` has the level of each loop by name, ``command`` is a
    :class:`backspike.hw.isa.conv.command.ConvCommand`. Left to the caller are counts, strides and
    bases.
    """
    nest = LoopNest(
        levels=len(at),
        values=2,
        tails=((at["tile"], at["group"]), (at["row"], at["row_group"])),
    )
    m.d.comb += [
        nest.tail[at["tile"]].eq(command.last_tiles),
        nest.tail[at["row"]].eq(command.last_rows),
    ]
    return nest
