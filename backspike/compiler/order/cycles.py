"""About how many cycles instructions take: good enough to put them in order, and for that only."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from backspike.hw.config import ChipConfig
from backspike.hw.control.microcode import Microcode
from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.table import IsaShape, instruction_set

__all__ = ["DENSITY", "decoding", "estimate"]

OVERHEAD = {"dma": 46, "noc": 49, "soma": 26, "grad": 36, "wu": 50}
"""Cycles of an instruction beside those of its words, with the latency of DRAM."""
BETWEEN = 10
"""Cycles of the decoder for an instruction beside those of its words and checks."""
GROUP = 9
"""Cycles of a group of tiles in FP and BP beside those of its products and weights."""
READOUT = 31
"""Cycles of WG beside those of its sums, and of reading out the last ones."""
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
    if mnemonic in ("FP_CONV", "BP_CONV"):
        tiles = (values["in_groups"] - 1) * values["group_tiles"] + values["last_tiles"]
        rows = (values["row_groups"] - 1) * values["group_rows"] + values["last_rows"]
        pairs = values["out_tiles"] * tiles
        taps = pairs * rows * values["kernel_w"]
        groups = values["out_tiles"] * values["in_groups"] * values["row_groups"]
        products = pairs * _products(values, rows, values["kernel_w"]) * density[mnemonic]
        # Weights of the first group are waited for; as many as the ring has room for come while the
        # group in front of theirs is at work.
        load = array.lanes // array.weight_words
        entries = values["group_tiles"] * values["group_rows"] * values["kernel_w"]
        late = entries + (groups - 1) * max(0, 2 * entries - array.ring_depth)
        return max(int(products) + late * load, taps * load) + groups * GROUP
    if mnemonic == "WG_CONV":
        pairs = values["out_tiles"] * values["in_tiles"]
        taps = pairs * values["kernel_h"] * values["kernel_w"]
        products = pairs * _products(values, values["kernel_h"], values["kernel_w"])
        readout = array.lanes * array.lanes // array.dw_lanes
        return int(max(products * density[mnemonic], taps * readout)) + taps + readout + READOUT
    if "window_rows" in values:
        kind = "soma" if mnemonic.startswith("FP") else "grad"
        side = values.get("pooling", 1)
        windows = values["window_rows"] * values["window_columns"] * side * side
        # With t_acc it reads the step before, which DMA stores at the same time.
        pixel = max(array.lanes // array.pipeline_lanes, 1 + values.get("t_acc", 0))
        cycles = values["samples"] * values["tiles"] * windows * pixel
    elif mnemonic == "WU":
        kind, cycles = "wu", values["words"] * array.lanes
    elif mnemonic == "NOC_DATA":
        kind, cycles = "noc", values["rows"] * values["words"]
        if values["flow_type"] != Flow.CORE.value:
            flits = -(-width * 8 // config.noc.flit_bits)
            cycles = int(cycles * max(1.0, flits / config.clocks.ratio))
    elif width:
        beats = -(-values["words"] * width * 8 // config.dram.bus_bits)
        kind, cycles = "dma", values["rows"] * beats
    else:
        kind, cycles = "noc", 0
    return cycles + OVERHEAD[kind]


def _products(values: Mapping[str, int], rows: int, columns: int) -> int:
    """Pixels of the maps of a pair of tiles, times the positions of the kernel that meet inputs."""
    met = [
        sum(
            0 <= out * values["stride"] + tap - values[pad] < values[size]
            for tap in range(taps)
            for out in range(values[outs])
        )
        for taps, outs, size, pad in (
            (rows, "out_h", "in_h", "pad_top"),
            (columns, "out_w", "in_w", "pad_left"),
        )
    ]
    return values["samples"] * values["steps"] * met[0] * met[1]
