"""The chips whose cores are tested: arrays of other sizes, formats and buses than presets have."""

from __future__ import annotations

import pytest

from backspike.hw.presets import load

__all__ = ["CHIPS", "OTHERS"]

_SETTINGS = {
    "tiny": (),
    # An 8-bit format, two rows of a weight tile to a word, two words to a beat of the bus.
    "two_lanes": (
        "array.lanes=2",
        "array.spike_pixels=8",
        "array.pipeline_lanes=1",
        "array.weight_words=2",
        "array.dw_lanes=1",
        "array.update_lanes=1",
        "format.exponent=5",
        "format.mantissa=2",
        "dram.bus_bits=32",
    ),
    # The smallest ring, and beats that hold parts of some words and several of others.
    "eight_lanes": (
        "array.lanes=8",
        "array.pipeline_lanes=8",
        "array.ring_depth=16",
        "array.group_tiles=9",
        "array.group_rows=3",
        "array.spike_pixels=16",
        "array.weight_words=4",
        "array.dw_lanes=4",
        "array.update_lanes=8",
        "fp.s_in=16384",
        "bp.s=16384",
        "dram.bus_bits=256",
    ),
    # A tile to a word, with the other 8-bit format.
    "thirty_two_lanes": (
        "array.lanes=32",
        "array.pipeline_lanes=4",
        "array.spike_pixels=4",
        "array.weight_words=32",
        "format.exponent=4",
        "format.mantissa=3",
        "fp.s_in=16384",
        "fp.w=131072",
        "bp.w=131072",
        "bp.s=16384",
        "bp.du_next=32768",
        "bp.dw=65536",
        "dram.bus_bits=1024",
        "noc.flit_bits=256",
    ),
}
CHIPS = {name: load("tiny", [*settings, f"name={name}"]) for name, settings in _SETTINGS.items()}
"""By their names."""
OTHERS = [
    "two_lanes",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("eight_lanes", "thirty_two_lanes")),
]
"""The names of those that are no presets, as parameters of tests."""
