"""From the geometry of a layer to the operands of WG_CONV, in plain Python."""

from __future__ import annotations

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layout import Layout, check_words
from backspike.hw.arith.format import FP_TERMS_BITS
from backspike.hw.limits import PLANE_MAX, check_whole

__all__ = ["wg_operands"]


def wg_operands(
    layer: ConvLayer,
    *,
    lanes: int,
    pixels: int,
    spikes: Layout,
    du: Layout,
    dw: int,
    m_size: int | None = None,
    c_size: int | None = None,
    plane: int = 0,
    dw_acc: bool = False,
    skip: bool = True,
) -> dict[str, int]:
    """The operands of the WG_CONV that computes dw of a layer, or of a strip of its rows.

    Parameters
    ----------
    layer : ConvLayer
        ``h`` x ``w`` is the spike map, ``e`` x ``f`` the du map.
    lanes, pixels : int
        Of the engine.
    spikes : Layout
        Spike map, or bit plane ``plane``, of the layer's input. ``step`` is 0 for a direct input
        that is the same at every step.
    du : Layout
        Gradients of the layer's outputs.
    dw : int
        Address of the result, stored like the weights: tiles of ``lanes`` words in the order
        m tile, c tile, r, s.
    m_size, c_size : int, optional
        Output and input channels; those of whole tiles if left out. dw of others becomes +0.
    plane : int
        b of a bit plane of a direct input; 0 for spikes.
    dw_acc : bool
        Add to the dw that is there.
    skip : bool
        Leave out vectors of silent spikes: changes the cycles and nothing else.

    Raises
    ------
    ValueError
        If ``plane`` is out of its range, the channels are not those of so many tiles, a sum would
        have more than 2**17 terms, or something leaves its memory.
    """
    if not 0 <= plane <= PLANE_MAX:
        raise ValueError(f"plane must be from 0 to {PLANE_MAX}, not {plane!r}")
    terms, most = layer.samples * layer.steps * layer.e * layer.f, 1 << FP_TERMS_BITS
    if terms > most:
        raise ValueError(f"WG sums have at most {most} terms, not {terms}")
    last_m = _last_lanes("m_size", m_size, layer.m_tiles, lanes)
    last_c = _last_lanes("c_size", c_size, layer.c_tiles, lanes)
    kh, kw = layer.kernel
    spikes_at = layer.inputs("spikes", spikes, pixels)
    du_at = layer.outputs("du", du)
    dw_words = layer.m_tiles * layer.c_tiles * kh * kw * lanes
    check_words("dw", dw, dw_words)
    top, _, left, _ = layer.padding
    return {
        "out_tiles": layer.m_tiles,
        "in_tiles": layer.c_tiles,
        "last_m": last_m,
        "last_c": last_c,
        "kernel_h": kh,
        "kernel_w": kw,
        "samples": layer.samples,
        "steps": layer.steps,
        "in_h": layer.h,
        "in_w": layer.w,
        "out_h": layer.e,
        "out_w": layer.f,
        "stride": layer.stride,
        "pad_top": top,
        "pad_left": left,
        **spikes_at.operands("spike"),
        **du_at.operands("du"),
        "dw_base": dw,
        "plane": plane,
        "dw_acc": int(dw_acc),
        "skip": int(skip),
    }


def _last_lanes(name: str, size: int | None, tiles: int, lanes: int) -> int:
    """Channels in the last of ``tiles`` tiles of ``size`` channels."""
    whole = tiles * lanes
    size = check_whole(name, whole if size is None else size, whole - lanes + 1, whole)
    return size - (tiles - 1) * lanes
