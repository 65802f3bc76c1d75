"""The command of the WG engine.

A command adds up, for each output tile, input tile and kernel position (r, s),

    dw[m, c] (+)= sum over samples, steps, y, x of du[m, y, x] where
                  spike[c, y*stride + r - pad_top, x*stride + s - pad_left] is 1
"""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS, LANE_BITS, PLANE_BITS, TAP_BITS

__all__ = ["WgCommand"]


class WgCommand(data.Struct):
    """Weight gradients of one convolution. Addresses and strides count words, modulo 2**16.

    Walk: ``out_tiles`` x ``in_tiles`` x ``kernel_h`` x ``kernel_w`` positions, each ``samples`` x
    ``steps`` x ``out_h`` x ``row_words``.
    """

    # Extents.
    out_tiles: COUNT_BITS  # tiles of output channels m
    in_tiles: COUNT_BITS  # tiles of input channels c
    last_m: LANE_BITS  # output channels in the last tile
    last_c: LANE_BITS  # input channels in the last tile
    kernel_h: TAP_BITS
    kernel_w: TAP_BITS
    samples: COUNT_BITS
    steps: COUNT_BITS
    in_h: COUNT_BITS  # rows of the spike map
    in_w: COUNT_BITS  # columns of the spike map
    row_words: COUNT_BITS  # spike words read of each row
    out_h: COUNT_BITS  # rows of the du map
    last_x: ADDRESS_BITS  # (columns of the du map - 1) * stride
    stride: TAP_BITS  # spike pixels from one du pixel to the next, both ways
    pad_top: TAP_BITS  # rows of padding above the spike map
    pad_left: TAP_BITS  # columns of padding left of it

    # Spike map: word = P pixels of a row.
    spike_base: ADDRESS_BITS  # of row -pad_top of the first map
    spike_tile: ADDRESS_BITS
    spike_sample: ADDRESS_BITS
    spike_step: ADDRESS_BITS  # 0 for a direct input, the same at every step
    spike_out_row: ADDRESS_BITS  # from one output row to the next: stride rows
    spike_row: ADDRESS_BITS

    # du map: word = one pixel.
    du_base: ADDRESS_BITS
    du_tile: ADDRESS_BITS
    du_sample: ADDRESS_BITS
    du_step: ADDRESS_BITS
    du_row: ADDRESS_BITS

    # dw, tile by tile in the order of the walk; word m of a tile holds dw[m, 0..L-1], which is +0
    # for channels that the tile does not have.
    dw_base: ADDRESS_BITS
    dw_words: ADDRESS_BITS + 1

    # Modes.
    plane: PLANE_BITS  # b: the sum counts 2**-b
    dw_acc: 1  # add to the dw that is there
    skip: 1  # leave out vectors of silent spikes
