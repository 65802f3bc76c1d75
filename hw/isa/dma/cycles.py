"""About how many cycles DMA_RD and DMA_WR take."""

from __future__ import annotations

from backspike.hw.isa.work import Work

__all__ = ["dma_cycles"]

LATENCY = 46
"""Cycles beside those of its beats, with the latency of DRAM."""


def dma_cycles(work: Work, *, srams: tuple[str, ...]) -> int:
    """Cycles of DMA_RD or DMA_WR, whose operand ``sram`` is a place in ``srams``."""
    config, values = work.config, work.values
    width = config.srams[srams[values["sram"]]].width
    return values["rows"] * -(-values["words"] * width // config.dram.bus_bits) + LATENCY
