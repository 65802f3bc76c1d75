"""About how many cycles FP_CONV and BP_CONV take."""

from __future__ import annotations

from collections.abc import Mapping

from backspike.hw.isa.work import Work

__all__ = ["conv_cycles", "products"]

GROUP = 9
"""Cycles of a group of tiles beside those of its products and weights."""


def conv_cycles(work: Work) -> int:
    """Cycles of FP_CONV or BP_CONV: of its products or of its weights, whichever are more."""
    array, values = work.config.array, work.values
    tiles = (values["in_groups"] - 1) * values["group_tiles"] + values["last_tiles"]
    rows = (values["row_groups"] - 1) * values["group_rows"] + values["last_rows"]
    pairs = values["out_tiles"] * tiles
    taps = pairs * rows * values["kernel_w"]
    groups = values["out_tiles"] * values["in_groups"] * values["row_groups"]
    made = int(pairs * products(values, rows, values["kernel_w"]) * work.density)
    # Weights of the first group are waited for; as many as the ring has room for come while the
    # group in front of theirs is at work.
    load = array.lanes // array.weight_words
    held = values["group_tiles"] * values["group_rows"] * values["kernel_w"]
    late = held + (groups - 1) * max(0, 2 * held - array.ring_depth)
    return max(made + late * load, taps * load) + groups * GROUP


def products(values: Mapping[str, int], rows: int, columns: int) -> int:
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
