"""WG: what a :class:`backspike.hw.isa.wg.command.WgCommand` does to the SRAMs of a core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from backspike.hw.config import ChipConfig
from backspike.sim.model.conv import add_dw, psum_wg, read_wg
from backspike.sim.model.machine.memories import Memories
from backspike.sim.model.machine.walk import Windows, loop, nested, read_values, wrapped
from backspike.sim.model.number import Status

__all__ = ["run_wg"]


def run_wg(
    command: Mapping[str, int], memories: Memories, config: ChipConfig, status: Status
) -> None:
    """Weight gradients in bp.dw of the spikes in bp.s and du in bp.du_next.

    Raises
    ------
    ValueError
        If a sum could have more terms than its psum is made for.
    """
    f, lanes = defaultdict(int, command), config.array.lanes
    out_w = f["last_x"] // f["stride"] + 1
    rows = f["spike_base"] + nested(
        loop(f["samples"], f["spike_sample"]),
        loop(f["steps"], f["spike_step"]),
        loop(f["out_h"], f["spike_out_row"]),
        loop(f["in_tiles"], f["spike_tile"]),
        loop(f["kernel_h"], f["spike_row"]),
    )
    windows = Windows.of(
        rows,
        nested(loop(f["out_h"], f["stride"]), loop(f["kernel_h"])) - f["pad_top"],
        nested(loop(out_w, f["stride"]), loop(f["kernel_w"])) - f["pad_left"],
        (f["in_h"], min(f["in_w"], f["row_words"] * config.array.spike_pixels)),
    )
    du_words = f["du_base"] + nested(
        loop(f["samples"], f["du_sample"]),
        loop(f["steps"], f["du_step"]),
        loop(f["out_h"], f["du_row"]),
        loop(out_w),
        loop(f["out_tiles"], f["du_tile"]),
    )
    # A pixel is a map of its own, and all that its kernel sees are the channels of that map.
    # Channels that the last tiles do not have are silent.
    positions = (f["out_tiles"], f["in_tiles"], f["kernel_h"], f["kernel_w"])
    pixels = du_words[..., 0].size
    spikes = windows.spikes(memories, "bp.s").reshape(pixels, positions[1], -1, lanes)
    spikes[:, -1, :, f["last_c"] :] = 0
    du = read_values(memories, "bp.du_next", wrapped(du_words)).reshape(pixels, -1, lanes)
    du[:, -1, f["last_m"] :] = 0.0
    psum = psum_wg(
        spikes.reshape(pixels, 1, 1, -1),
        du.reshape(pixels, 1, 1, -1),
        kernel=(1, 1),
        status=status,
        format=config.format,
    )
    psum = psum.reshape(positions[0], lanes, *positions[1:], lanes)
    psum = np.moveaxis(psum, 1, -2)  # tile by tile, rows of m, lanes of c
    dw = read_wg(psum, plane=f["plane"], status=status, format=config.format)

    stored = memories.words("bp.dw").view(np.float32)
    word = wrapped(f["dw_base"] + loop(dw.size // lanes))
    if f["dw_acc"]:
        old = stored[word].reshape(dw.shape)
        old[-1, ..., f["last_m"] :, :] = 0.0
        old[:, -1, ..., f["last_c"] :] = 0.0
        dw = add_dw(old, dw, status=status)
    stored[word] = dw.reshape(-1, lanes)
