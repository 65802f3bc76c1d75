"""The command of the FP and BP engines: one pass of a convolution as a set of loop nests.

A pass adds up, for each output tile and output pixel (y, x),

    psum[y, x] (+)= sum over input tiles and taps (r, s) of in[y*stride + r - pad_top,
                                                              x*stride + s - pad_left] * w[r, s]

FP is one pass with the spikes as input. BP is one pass per residue of the output coordinates modulo
the layer's stride: each is a convolution of stride 1 over du with the kernel positions of that
residue, last one first, so that no inserted zero is ever visited.
"""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from backspike.hw.limits import ADDRESS_BITS, COUNT_BITS, PLANE_BITS, TAP_BITS

__all__ = ["ConvCommand"]

TILE_BITS = 5
"""Bits of the tiles or rows in a group: up to 31."""


class ConvCommand(data.Struct):
    """A pass of an FP or BP convolution. Addresses and strides count words, modulo 2**16.

    Walk: ``out_tiles`` x groups x ``samples`` x ``steps`` x ``out_h`` x ``out_w``. A group is what
    the ring of weights holds for one scan of the map: ``group_tiles`` input tiles (the last group
    ``last_tiles``) x ``group_rows`` kernel rows (the last ``last_rows``) x ``kernel_w`` columns.
    """

    # Extents.
    out_tiles: COUNT_BITS  # output tiles
    in_groups: COUNT_BITS  # groups of input tiles
    group_tiles: TILE_BITS  # input tiles in a group
    last_tiles: TILE_BITS  # input tiles in the last group
    row_groups: TAP_BITS  # groups of kernel rows
    group_rows: TAP_BITS  # kernel rows in a group
    last_rows: TAP_BITS  # kernel rows in the last group
    kernel_w: TAP_BITS  # kernel columns
    samples: COUNT_BITS
    steps: COUNT_BITS
    in_h: COUNT_BITS  # rows of the input map
    in_w: COUNT_BITS  # columns of the input map
    out_h: COUNT_BITS  # rows of outputs walked
    out_w: COUNT_BITS  # columns of outputs walked
    row_segments: COUNT_BITS  # stretches of P pixels read of each row
    stride: TAP_BITS  # input pixels from one output to the next, both ways
    pad_top: TAP_BITS  # rows of padding above the input map
    pad_left: TAP_BITS  # columns of padding left of it

    # Input map: spikes of FP (a segment is a word), non-zero bits of du of BP (a segment is
    # pixels_of_a_word du words further).
    in_base: ADDRESS_BITS
    in_tile: ADDRESS_BITS  # from one input tile to the next
    in_group: ADDRESS_BITS  # from one group of input tiles to the next
    in_row: ADDRESS_BITS  # from one row to the next
    in_row_group: ADDRESS_BITS  # from one group of kernel rows to the next
    in_out_row: ADDRESS_BITS  # from the rows of one output row to those of the next
    in_sample: ADDRESS_BITS
    in_step: ADDRESS_BITS

    # Weights, tile by tile.
    w_base: ADDRESS_BITS
    w_out_tile: ADDRESS_BITS
    w_group: ADDRESS_BITS
    w_tile: ADDRESS_BITS
    w_row_group: ADDRESS_BITS
    w_row: ADDRESS_BITS
    w_col: ADDRESS_BITS

    # Psums.
    out_base: ADDRESS_BITS
    out_tile: ADDRESS_BITS
    out_sample: ADDRESS_BITS
    out_step: ADDRESS_BITS
    out_row: ADDRESS_BITS
    out_col: ADDRESS_BITS

    # Fire map of the outputs, in pixels: word = row base + x // P (BP only).
    fire_base: ADDRESS_BITS
    fire_tile: ADDRESS_BITS
    fire_sample: ADDRESS_BITS
    fire_step: ADDRESS_BITS
    fire_row: ADDRESS_BITS
    fire_x: COUNT_BITS  # x of the first output
    fire_col: TAP_BITS  # pixels from one output to the next

    # Modes.
    psum_acc: 1  # add to the psums that are there
    skip: 1  # leave out what takes no part
    shift: PLANE_BITS  # plane_top - plane: terms of this pass count 2**shift (FP only)
    mask: 1  # lanes without fire take no part (BP only)
