"""The command of the WG engine, and what builds one from the geometry of a layer.

A command adds up, for each output tile, input tile and kernel position (r, s),

    dw[m, c] (+)= sum over samples, steps, y, x of du[m, y, x] where
                  spike[c, y*stride + r - pad_top, x*stride + s - pad_left] is 1
"""

# Annotations are shapes here: they must stay values (no ``from __future__ import annotations``).

from amaranth.lib import data

from hw.arith.format import FP_TERMS_BITS
from hw.conv.lowering import ConvLayer
from hw.limits import PLANE_BITS, PLANE_MAX, TAP_BITS
from hw.memory.loops import COUNT_BITS
from hw.memory.place import Place, check_words
from hw.memory.port import ADDRESS_BITS

__all__ = ["WgCommand", "wg_pass"]


class WgCommand(data.Struct):
    """Weight gradients of one convolution. Addresses and strides count words, modulo 2**16.

    Walk: ``out_tiles`` x ``in_tiles`` x ``kernel_h`` x ``kernel_w`` positions, each ``samples`` x
    ``steps`` x ``out_h`` x ``row_words``.
    """

    # Extents.
    out_tiles: COUNT_BITS  # tiles of output channels m
    in_tiles: COUNT_BITS  # tiles of input channels c
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
    pad_left_outs: TAP_BITS  # pad_left // stride
    pad_left_rest: TAP_BITS  # pad_left % stride

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

    # dw, tile by tile in the order of the walk; word m of a tile holds dw[m, 0..L-1].
    dw_base: ADDRESS_BITS
    dw_words: ADDRESS_BITS + 1

    # Modes.
    plane: PLANE_BITS  # b: the sum counts 2**-b
    dw_acc: 1  # add to the dw that is there
    skip: 1  # leave out vectors of silent spikes


def wg_pass(
    layer: ConvLayer,
    *,
    lanes: int,
    pixels: int,
    spikes: Place,
    du: Place,
    dw: int,
    plane: int = 0,
    dw_acc: bool = False,
    skip: bool = True,
) -> dict[str, int]:
    """The fields of the :class:`WgCommand` that computes dw of a layer, or of a strip of its rows.

    Parameters
    ----------
    layer : ConvLayer
        ``h`` x ``w`` is the spike map, ``e`` x ``f`` the du map.
    lanes, pixels : int
        Of the engine.
    spikes : Place
        Spike map, or bit plane ``plane``, of the layer's input. ``step`` is 0 for a direct input
        that is the same at every step.
    du : Place
        Gradients of the layer's outputs.
    dw : int
        Address of the result, stored like the weights: tiles of ``lanes`` words in the order
        m tile, c tile, r, s.
    plane : int
        b of a bit plane of a direct input; 0 for spikes.
    dw_acc : bool
        Add to the dw that is there.
    skip : bool
        Leave out vectors of silent spikes: changes the cycles and nothing else.

    Raises
    ------
    ValueError
        If ``plane`` is out of its range, a sum would have more than 2**17 terms, or something
        leaves its memory.
    """
    if not 0 <= plane <= PLANE_MAX:
        raise ValueError(f"plane must be from 0 to {PLANE_MAX}, not {plane!r}")
    terms, most = layer.samples * layer.steps * layer.e * layer.f, 1 << FP_TERMS_BITS
    if terms > most:
        raise ValueError(f"WG sums have at most {most} terms, not {terms}")
    kh, kw = layer.kernel
    spikes = layer.inputs("spikes", spikes, pixels)
    du = layer.outputs("du", du)
    dw_words = layer.m_tiles * layer.c_tiles * kh * kw * lanes
    check_words("dw", dw, dw_words)
    top, _, left, _ = layer.padding
    # Words beyond the last column that a window reaches are not walked over.
    last_column = min((layer.f - 1) * layer.stride + kw - 1 - left, layer.w - 1)
    addresses = {
        "spike_base": spikes.base - top * spikes.row,
        "spike_tile": spikes.tile,
        "spike_sample": spikes.sample,
        "spike_step": spikes.step,
        "spike_out_row": layer.stride * spikes.row,
        "spike_row": spikes.row,
        "du_base": du.base,
        "du_tile": du.tile,
        "du_sample": du.sample,
        "du_step": du.step,
        "du_row": du.row,
        "dw_base": dw,
    }
    return {
        "out_tiles": layer.m_tiles,
        "in_tiles": layer.c_tiles,
        "kernel_h": kh,
        "kernel_w": kw,
        "samples": layer.samples,
        "steps": layer.steps,
        "in_h": layer.h,
        "in_w": layer.w,
        "row_words": max(0, last_column) // pixels + 1,
        "out_h": layer.e,
        "last_x": (layer.f - 1) * layer.stride,
        "stride": layer.stride,
        "pad_top": top,
        "pad_left": left,
        "pad_left_outs": left // layer.stride,
        "pad_left_rest": left % layer.stride,
        **{name: value % (1 << ADDRESS_BITS) for name, value in addresses.items()},
        "dw_words": dw_words,
        "plane": plane,
        "dw_acc": int(dw_acc),
        "skip": int(skip),
    }
