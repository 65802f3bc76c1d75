"""From the geometry of a layer to the operands of FP_CONV and BP_CONV, in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from backspike.compiler.lowering.layout import Layout, Strides, check_words
from backspike.compiler.lowering.words import even_size
from backspike.hw.arith.format import BP_TERMS_BITS, FP_TERMS_BITS
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.operands import COUNT_MAX
from backspike.hw.limits import PLANE_MAX, TAP_MAX, check_whole

__all__ = ["ConvLayer", "Strip", "bp_operands", "fp_operands"]


@dataclass(frozen=True, kw_only=True)
class ConvLayer:
    """Geometry of a convolution of ``c_tiles`` x (h, w) maps into ``m_tiles`` x (e, f) maps.

    ``padding`` is (top, bottom, left, right). A fully connected layer is a 1x1 kernel on a map of
    one row whose columns are samples and time steps.

    Raises
    ------
    ValueError
        In one sentence, if the hardware has no room for a size.
    """

    h: int
    w: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    c_tiles: int = 1
    m_tiles: int = 1
    samples: int = 1
    steps: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("h", 1, COUNT_MAX),
            ("w", 1, COUNT_MAX),
            ("stride", 1, TAP_MAX),
            ("c_tiles", 1, COUNT_MAX),
            ("m_tiles", 1, COUNT_MAX),
            ("samples", 1, COUNT_MAX),
            ("steps", 1, COUNT_MAX),
        ):
            check_whole(name, getattr(self, name), low, high)
        for name, sizes, length, low in (
            ("kernel", self.kernel, 2, 1),
            ("padding", self.padding, 4, 0),
        ):
            if len(sizes) != length:
                raise ValueError(f"{name} must have {length} sizes, not {sizes!r}")
            for size in sizes:
                check_whole(f"a size of {name}", size, low, TAP_MAX)
        if self.e < 1 or self.f < 1:
            raise ValueError(
                f"a kernel of {self.kernel} must fit the padded map of "
                f"{self.h} x {self.w}, padding {self.padding}, at least once"
            )
        if max(self.e, self.f) > COUNT_MAX:
            raise ValueError(
                f"output maps must be at most {COUNT_MAX} high and wide, not {self.e} x {self.f}"
            )

    @property
    def e(self) -> int:
        """Rows of the output map."""
        return (self.h + self.padding[0] + self.padding[1] - self.kernel[0]) // self.stride + 1

    @property
    def f(self) -> int:
        """Columns of the output map."""
        return (self.w + self.padding[2] + self.padding[3] - self.kernel[1]) // self.stride + 1

    def inputs(
        self, name: str, layout: Layout, pixels: int = 1, *, written: bool = False
    ) -> Strides:
        """The layout of the inputs, in words of ``pixels`` pixels, with all strides.

        Raises
        ------
        ValueError
            If they leave the memory.
        """
        return layout.of(
            name,
            row_words=-(-self.w // pixels),
            rows=self.h,
            tiles=self.c_tiles,
            steps=self.steps,
            samples=self.samples,
            written=written,
        )

    def outputs(self, name: str, layout: Layout, *, written: bool = False) -> Strides:
        """The layout of the outputs, a word a pixel; as of :meth:`inputs`."""
        return layout.of(
            name,
            row_words=self.f,
            rows=self.e,
            tiles=self.m_tiles,
            steps=self.steps,
            samples=self.samples,
            written=written,
        )

    def fp_strip(self, first: int, last: int) -> Strip | None:
        """Output rows ``first`` to ``last - 1`` as a layer, and the input row its map begins with.

        None if they see nothing but padding.

        Raises
        ------
        ValueError
            If there are no such rows.
        """
        _check_rows("output", first, last, self.e)
        top = first * self.stride - self.padding[0]
        bottom = (last - 1) * self.stride - self.padding[0] + self.kernel[0]
        begin, end = max(0, top), min(self.h, bottom)
        if begin >= end:
            return None
        padding = (begin - top, bottom - end, *self.padding[2:])
        return replace(self, h=end - begin, padding=padding), begin

    def bp_strip(self, first: int, last: int) -> Strip | None:
        """Input rows ``first`` to ``last - 1`` as a layer, and the du row its map begins with.

        None if they lie too far from any output row.

        Raises
        ------
        ValueError
            If there are no such rows.
        """
        _check_rows("input", first, last, self.h)
        kh = self.kernel[0]
        # The first output row that reaches the strip, or one before it: it may not lie beyond.
        reaching = max(0, -(-(first + self.padding[0] - kh + 1) // self.stride))
        begin = min(reaching, (first + self.padding[0]) // self.stride, self.e - 1)
        end = max(begin + 1, min(self.e, (last - 1 + self.padding[0]) // self.stride + 1))
        top = self.padding[0] + first - begin * self.stride
        bottom = max(0, (end - begin - 1) * self.stride + kh - (last - first) - top)
        if max(top, bottom) > TAP_MAX:
            return None
        return replace(self, h=last - first, padding=(top, bottom, *self.padding[2:])), begin

    def wg_strip(self, first: int, last: int) -> Strip:
        """Kernel rows ``first`` to ``last - 1`` as a layer, and the input row its map begins with.

        Raises
        ------
        ValueError
            If there are no such rows, or they see nothing but padding.
        """
        _check_rows("kernel", first, last, self.kernel[0])
        top = first - self.padding[0]
        bottom = (self.e - 1) * self.stride - self.padding[0] + last
        begin, end = max(0, top), min(self.h, bottom)
        if begin >= end:
            raise ValueError(
                f"kernel rows {first} to {last - 1} must see a row of the map of {self.h}"
            )
        padding = (begin - top, bottom - end, *self.padding[2:])
        kernel = (last - first, self.kernel[1])
        return replace(self, h=end - begin, kernel=kernel, padding=padding), begin


Strip = tuple[ConvLayer, int]
"""A part of a convolution, and the row of the whole map that its own begins with."""


def fp_operands(
    layer: ConvLayer,
    shape: EngineShape,
    *,
    spikes: Layout,
    weights: int,
    psums: Layout,
    psum_acc: bool = False,
    skip: bool = True,
    plane: int = 0,
    plane_top: int = 0,
) -> dict[str, int]:
    """The operands of the FP_CONV that computes conv_fp.

    Parameters
    ----------
    spikes : Layout
        Spike map of the input, or bit plane ``plane`` of it.
    weights : int
        Address of the layer's weights.
    psums : Layout
        Where the psums go.
    plane, plane_top : int
        Bit plane b, and B: the last plane of the input.

    Raises
    ------
    ValueError
        If a sum could have more terms than fit, or something leaves its memory.
    """
    if not 0 <= plane <= plane_top <= PLANE_MAX:
        raise ValueError(f"plane must be from 0 to plane_top, at most {PLANE_MAX}, not {plane!r}")
    kh, kw = layer.kernel
    _check_terms(layer.c_tiles * shape.lanes * kh * kw << (plane_top - plane), FP_TERMS_BITS, "FP")
    spikes_at = layer.inputs("spikes", spikes, shape.pixels)
    psums_at = layer.outputs("psums", psums, written=True)
    check_words("weights", weights, layer.m_tiles * layer.c_tiles * kh * kw * shape.tile_words)
    words = shape.tile_words
    return {
        **_walk(
            shape,
            in_tiles=layer.c_tiles,
            out_tiles=layer.m_tiles,
            kernel=layer.kernel,
            stride=layer.stride,
            pad=(layer.padding[0], layer.padding[2]),
            size_in=(layer.h, layer.w),
            size_out=(layer.e, layer.f),
            layout=spikes_at,
            weights=(weights, kh * kw * words, layer.c_tiles * kh * kw * words),
            weight_steps=(kw * words, words),
        ),
        "samples": layer.samples,
        "steps": layer.steps,
        **psums_at.operands("out"),
        "out_col": 1,
        "psum_acc": int(psum_acc),
        "skip": int(skip),
        "shift": plane_top - plane,
    }


def bp_operands(
    layer: ConvLayer,
    shape: EngineShape,
    *,
    du: Layout,
    weights: int,
    psums: Layout,
    fire: Layout | None = None,
    psum_acc: bool = False,
    skip: bool = True,
) -> Iterator[dict[str, int]]:
    """Operands of the BP_CONVs that compute conv_bp: one per residue of (y, x) modulo the stride.

    y receives from output row oy through kernel row r where oy*stride = y + pad_top - r, so the
    rows y = y0 + stride*i of one residue see a kernel of its own, every stride-th row of the whole
    one, sliding over du in steps of one.

    Parameters
    ----------
    du : Layout
        Gradients of the layer's outputs.
    weights : int
        Address of the layer's weights, stored as for FP.
    psums : Layout
        Where the psums go.
    fire : Layout, optional
        Fire map of the layer's inputs; without one all lanes take part.

    Raises
    ------
    ValueError
        If a sum could have more terms than fit, or something leaves its memory.
    """
    kh, kw = layer.kernel
    taps = -(-kh // layer.stride) * -(-kw // layer.stride)
    _check_terms(layer.m_tiles * shape.lanes * taps, BP_TERMS_BITS, "BP")
    du_at = layer.outputs("du", du)
    psums_at = layer.inputs("psums", psums, written=True)
    fire_at = fire and layer.inputs("fire", fire, shape.pixels)
    check_words("weights", weights, layer.m_tiles * layer.c_tiles * kh * kw * shape.tile_words)
    stride = layer.stride
    for y0, x0 in product(range(min(stride, layer.h)), range(min(stride, layer.w))):
        rows = _Residue.of(y0, layer.padding[0], kh, stride, size_in=layer.e, size_out=layer.h)
        cols = _Residue.of(x0, layer.padding[2], kw, stride, size_in=layer.f, size_out=layer.w)
        if psum_acc and not (rows.taps and cols.taps):
            continue
        to = _every(psums_at, y0, stride)
        operands = {
            **_residue_walk(layer, shape, rows, cols, du=du_at, weights=weights),
            "samples": layer.samples,
            "steps": layer.steps,
            **replace(to, base=to.base + x0).operands("out"),
            "out_col": stride,
            "psum_acc": int(psum_acc),
            "skip": int(skip),
        }
        if fire_at:
            operands |= {"mask": 1, "fire_x": x0, "fire_col": stride}
            operands |= _every(fire_at, y0, stride).operands("fire")
        yield operands


@dataclass(frozen=True)
class _Residue:
    """One dimension of a BP pass: the kernel positions that reach y = y0, y0 + stride, ..."""

    outputs: int  # how many such y there are
    taps: int  # how many such positions
    last_tap: int  # the last of them, which meets the first du
    pad: int  # du missing before the first, for y = y0
    skipped: int  # du before the first that y0 needs
    size: int  # du from there on

    @classmethod
    def of(
        cls, y0: int, pad: int, kernel: int, stride: int, *, size_in: int, size_out: int
    ) -> _Residue:
        first_tap = (y0 + pad) % stride
        taps = len(range(first_tap, kernel, stride))
        # The first tap meets du number (y0 + pad) // stride, the last one the earliest du.
        earliest = (y0 + pad) // stride - (taps - 1)
        return cls(
            outputs=-(-(size_out - y0) // stride),
            taps=taps,
            last_tap=max(0, first_tap + stride * (taps - 1)),
            pad=max(0, -earliest),
            skipped=max(0, earliest),
            size=size_in - max(0, earliest),
        )


def _residue_walk(
    layer: ConvLayer,
    shape: EngineShape,
    rows: _Residue,
    cols: _Residue,
    *,
    du: Strides,
    weights: int,
) -> dict[str, int]:
    """The walk of a BP pass; outputs that nothing reaches are walked over an input of no rows."""
    kh, kw = layer.kernel
    words = shape.tile_words
    reached = rows.taps and cols.taps and rows.size > 0 and cols.size > 0
    return _walk(
        shape,
        in_tiles=layer.m_tiles if reached else 1,
        out_tiles=layer.c_tiles,
        kernel=(rows.taps, cols.taps) if reached else (1, 1),
        stride=1,
        pad=(rows.pad, cols.pad) if reached else (0, 0),
        size_in=(rows.size, cols.size) if reached else (0, 1),
        size_out=(rows.outputs, cols.outputs),
        layout=replace(du, base=du.base + rows.skipped * du.row + cols.skipped),
        weights=(
            weights + (rows.last_tap * kw + cols.last_tap) * words,
            layer.c_tiles * kh * kw * words,
            kh * kw * words,
        ),
        weight_steps=(-layer.stride * kw * words, -layer.stride * words),
    )


def _every(map_: Strides, first: int, step: int) -> Strides:
    """The rows ``first``, ``first + step``, ... of a map."""
    return replace(map_, base=map_.base + first * map_.row, row=step * map_.row)


def _walk(
    shape: EngineShape,
    *,
    in_tiles: int,
    out_tiles: int,
    kernel: tuple[int, int],
    stride: int,
    pad: tuple[int, int],
    size_in: tuple[int, int],
    size_out: tuple[int, int],
    layout: Strides,
    weights: tuple[int, int, int],
    weight_steps: tuple[int, int],
) -> dict[str, int]:
    """Groups and the walks over input and weights, which FP and BP have in common."""
    kh, kw = kernel
    if kh <= shape.group_rows and kh * kw <= shape.group_tiles:
        most = min(shape.group_tiles // (kh * kw), shape.group_rows // kh)
        group_tiles, group_rows = even_size(in_tiles, most), kh
    else:
        group_tiles, group_rows = 1, even_size(kh, min(shape.group_rows, shape.group_tiles // kw))
    in_groups = -(-in_tiles // group_tiles)
    row_groups = -(-kh // group_rows)
    w_base, w_tile, w_out_tile = weights
    w_row, w_col = weight_steps
    return {
        "out_tiles": out_tiles,
        "in_groups": in_groups,
        "group_tiles": group_tiles,
        "last_tiles": in_tiles - (in_groups - 1) * group_tiles,
        "row_groups": row_groups,
        "group_rows": group_rows,
        "last_rows": kh - (row_groups - 1) * group_rows,
        "kernel_w": kw,
        "in_h": size_in[0],
        "in_w": size_in[1],
        "out_h": size_out[0],
        "out_w": size_out[1],
        "stride": stride,
        "pad_top": pad[0],
        "pad_left": pad[1],
        **layout.operands("in"),
        "w_base": w_base,
        "w_out_tile": w_out_tile,
        "w_tile": w_tile,
        "w_row": w_row,
        "w_col": w_col,
    }


def _check_rows(what: str, first: int, last: int, rows: int) -> None:
    if not 0 <= first < last <= rows:
        raise ValueError(
            f"a strip must be of some of the {what} rows 0 to {rows - 1}, not {first} to {last - 1}"
        )


def _check_terms(terms: int, bits: int, engine: str) -> None:
    if terms > 1 << bits:
        raise ValueError(f"{engine} sums have at most {1 << bits} terms, not {terms}")
