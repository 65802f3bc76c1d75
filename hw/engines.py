"""The hardware of one core, as a list: what `make verilog` emits and what tests go through."""

from __future__ import annotations

from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.memory.sram import Sram

__all__ = ["engines", "srams"]


def srams(config: ChipConfig) -> list[EmitOnce]:
    """One memory for each different kind of SRAM bank of a core."""
    kinds = {(size.bank_words, size.width, size.granules): None for size in config.srams.values()}
    return [Sram(depth=words, width=width, granules=granules) for words, width, granules in kinds]


def engines(config: ChipConfig) -> list[EmitOnce]:
    """Every engine of one core, and its memories."""
    return [
        *srams(config),
    ]
