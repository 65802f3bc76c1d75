"""About how many cycles the instructions of Soma, Grad and WU take."""

from __future__ import annotations

from backspike.hw.isa.work import Work

__all__ = ["grad_cycles", "soma_cycles", "update_cycles"]

SOMA, GRAD, UPDATE = 26, 36, 50
"""Cycles of an instruction beside those of its words, of WU with the latency of DRAM."""


def soma_cycles(work: Work) -> int:
    """Cycles of FP_SOMA or FP_VECTOR."""
    return _element_cycles(work) + SOMA


def grad_cycles(work: Work) -> int:
    """Cycles of BP_GRAD or BP_VECTOR."""
    return _element_cycles(work) + GRAD


def _element_cycles(work: Work) -> int:
    array, values = work.config.array, work.values
    side = values.get("pooling", 1)
    windows = values["window_rows"] * values["window_columns"] * side * side
    # With t_acc it reads the step before, which DMA stores at the same time.
    pixel = max(array.lanes // array.pipeline_lanes, 1 + values.get("t_acc", 0))
    return values["samples"] * values["tiles"] * windows * pixel


def update_cycles(work: Work) -> int:
    """Cycles of WU."""
    return work.values["words"] * work.config.array.lanes + UPDATE
