"""What one engine is given and must answer with, for a part of a recorded step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.config import ChipConfig
from sim.model.network import Layer, Network, StepRecord

__all__ = ["Job", "Scene", "parts"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Commands for one engine, with the memories before and after them.

    ``loads`` and ``expected`` hold (memory, first word, words). Where ``dense`` is given, the job
    is run again with these commands, which do the same without skipping. What is expected must
    come from the commands: its place is filled with the complement first, or that of ``until``,
    which later jobs are to make of it, unless ``adds`` says that it is added to.
    ``written`` tells, by memory, which bits of what is expected there the commands write; all, if
    the memory is not named.
    """

    layer: int
    commands: list[dict[str, Any]]
    loads: list[tuple[str, int, NDArray]]
    expected: list[tuple[str, int, NDArray]] = field(default_factory=list)
    until: list[tuple[str, int, NDArray]] = field(default_factory=list)
    dense: list[dict[str, Any]] = field(default_factory=list)
    written: dict[str, NDArray] = field(default_factory=dict)
    adds: bool = False

    @property
    def guard(self) -> list[tuple[str, int, NDArray]]:
        """What is in the memories before the job: wrong in each bit that has to be written."""
        if self.adds:
            return []
        return [
            (memory, first, words ^ self.written[memory] if memory in self.written else ~words)
            for memory, first, words in (
                (memory, first, np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1))
                for memory, first, words in (*self.expected, *self.until)
            )
        ]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A recorded step, and the network and chip that it is replayed on."""

    config: ChipConfig
    network: Network
    record: StepRecord

    @property
    def lanes(self) -> int:
        """Lanes of the arrays."""
        return self.config.array.lanes

    @property
    def pixels(self) -> int:
        """Pixels of a spike word."""
        return self.config.array.spike_pixels

    def words(self, sram: str) -> int:
        """Words of an SRAM, e.g. ``fp.conv_fp``."""
        return self.config.srams[sram].words

    def rows_of(self, layer: Layer, maps: NDArray) -> NDArray:
        """(t, n, y, x, c) maps as (maps, y, x, c); of a fully connected layer as one row."""
        if layer.fully_connected:
            return maps.reshape(1, 1, -1, maps.shape[-1])
        return maps.reshape(-1, *maps.shape[2:])


def parts(total: int, capacity: dict[str, tuple[int, int]], what: str) -> Iterator[slice]:
    """Slices of ``total`` units, each as large as the memories allow.

    ``capacity`` gives for each memory its words, and the words that a unit takes.

    Raises
    ------
    ValueError
        If a memory is too small for a single unit.
    """
    for memory, (words, unit) in capacity.items():
        if unit > words:
            raise ValueError(f"{memory} must have at least {unit} words for {what}, not {words}")
    size = min(words // unit for words, unit in capacity.values())
    for first in range(0, total, size):
        yield slice(first, min(first + size, total))
