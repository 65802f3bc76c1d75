"""WU: what an :class:`.UpdateCommand` does to the SRAMs of a core."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backspike.hw.config import ChipConfig
from backspike.sim.model.machine.memories import Memories
from backspike.sim.model.machine.walk import loop, wrapped
from backspike.sim.model.number import Status, encode
from backspike.sim.model.update import UpdateRule, update

__all__ = ["run_update"]


def run_update(
    command: Mapping[str, int], memories: Memories, config: ChipConfig, status: Status
) -> None:
    """Updates masters and momenta, which lie in bp.dw beside the gradients, and bp.w.

    ``stored`` counts rows of a tile in bp.w, ``weight_words`` of them to a word.
    """
    if command.get("inhibit", 0):
        return
    count = command.get("words", 0)
    binary32 = memories.words("bp.dw").view(np.float32)
    dw, w, v = (wrapped(command.get(name, 0) + loop(count)) for name in ("dw", "w", "v"))
    scalars = {name: _number(command.get(name, 0)) for name in ("lr", "mu", "wd", "k")}
    made = update(
        binary32[w],
        binary32[v],
        binary32[dw],
        UpdateRule(**scalars),
        status=status,
        format=config.format,
    )
    binary32[w], binary32[v] = made.w, made.v
    rows = memories.words("bp.w").reshape(-1, config.array.lanes)
    rows[wrapped(command.get("stored", 0) + loop(count))] = encode(made.w_stored, config.format)


def _number(code: int) -> float:
    """The number of a binary32 code."""
    return float(np.uint32(code).view(np.float32))
