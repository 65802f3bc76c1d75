"""About how many cycles instructions take: good enough to put them in order, and for that only."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from hw.config import ChipConfig
from hw.control.microcode import Microcode
from hw.isa import IsaShape, instruction_set
from hw.noc.instructions import Flow

__all__ = ["DENSITY", "decoding", "estimate"]

OVERHEAD = 40
"""Cycles from one instruction of a unit to the next, and the latency of DRAM."""
BETWEEN = 10
"""Cycles of the decoder for an instruction beside those of its words and checks."""
GROUP = 90
"""Cycles of a group of tiles in FP and BP beside those of its products: filling and draining."""
DENSITY = {"FP_CONV": 0.45, "BP_CONV": 0.7, "WG_CONV": 0.25}
"""Share of the dense cycles that arrays need."""


@functools.cache
def decoding(shape: IsaShape, subcore: str) -> dict[str, int]:
    """Cycles that a decoder takes for an instruction, by mnemonic."""
    instructions = instruction_set(shape, subcore)
    checks = Microcode(instructions).programs
    return {name: instructions[name].words + len(each) + BETWEEN for name, each in checks.items()}


def estimate(
    config: ChipConfig,
    mnemonic: str,
    values: Mapping[str, int],
    width: int = 0,
    density: Mapping[str, float] = DENSITY,
) -> int:
    """Cycles of an instruction with all its operands.

    Parameters
    ----------
    width : int
        Bytes of an SRAM word that DMA or a copy moves.
    density : mapping of mnemonic to float
        Share of the dense cycles that arrays need.
    """
    array = config.array
    cycles = 0.0
    if mnemonic in ("FP_CONV", "BP_CONV"):
        tiles = (values["in_groups"] - 1) * values["group_tiles"] + values["last_tiles"]
        rows = (values["row_groups"] - 1) * values["group_rows"] + values["last_rows"]
        taps = values["out_tiles"] * tiles * rows * values["kernel_w"]
        pixels = values["samples"] * values["steps"] * values["out_h"] * values["out_w"]
        groups = values["out_tiles"] * values["in_groups"] * values["row_groups"]
        # The next tile of weights is loaded meanwhile.
        cycles = taps * max(pixels * density[mnemonic], array.lanes // array.weight_words)
        cycles += groups * GROUP
    elif mnemonic == "WG_CONV":
        taps = values["kernel_h"] * values["kernel_w"] * values["out_tiles"] * values["in_tiles"]
        pixels = values["samples"] * values["steps"] * values["out_h"] * values["out_w"]
        cycles = taps * pixels * density[mnemonic]
    elif "window_rows" in values:
        side = values.get("pooling", 1)
        windows = values["window_rows"] * values["window_columns"] * side * side
        # With t_acc it reads the step before, which DMA stores at the same time.
        pixel = max(array.lanes // array.pipeline_lanes, 1 + values.get("t_acc", 0))
        cycles = values["samples"] * values["tiles"] * windows * pixel
    elif mnemonic == "WU":
        cycles = values["words"] * array.lanes
    elif mnemonic == "NOC_DATA":
        words = values["rows"] * values["words"]
        if values["flow_type"] == Flow.CORE.value:
            cycles = words
        else:
            cycles = words * -(-width * 8 // config.noc.flit_bits) / config.clocks.ratio
    elif width:
        cycles = values["rows"] * -(-values["words"] * width * 8 // config.dram.bus_bits)
    return int(cycles) + OVERHEAD
