"""What the cycles of an instruction are estimated from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backspike.hw.config import ChipConfig

__all__ = ["Work"]


class Work(NamedTuple):
    """An instruction with all its operands, on a chip."""

    config: ChipConfig
    values: Mapping[str, int]
    density: float = 1.0
    """Share of its dense cycles that an array needs."""
