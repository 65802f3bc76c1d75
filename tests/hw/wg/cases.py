"""Weight gradients for the WG bench: data, where they lie, and what the model makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.words import codes_dtype, layout_of, tile_maps, tile_weights
from backspike.hw.arith.format import BINARY32, Float
from backspike.sim.model import Status, add_dw, encode, psum_wg, read_wg
from scripts.bench.rtl.passes import wg_pass
from tests.hw.conv.cases import littered

__all__ = ["DEPTHS", "WgCase", "tile_dw"]

DEPTHS = {"spike": 8192, "du": 32768, "dw": 8192}
"""Words of the bench's memories."""


def tile_dw(dw: NDArray, lanes: int) -> NDArray:
    """(m, c, r, s) binary32 values as codes (row of m, c lane), in the order of the tiles."""
    values = tile_weights(np.asarray(dw, np.float32), lanes, None).reshape(-1, lanes)
    return np.where(np.isnan(values), BINARY32.nan, values.view(np.uint32)).astype(np.uint32)


@dataclass(frozen=True, kw_only=True)
class WgCase:
    """One WG instruction with its operands.

    ``spikes`` is (sample, step, h, w, c), with one step if the input is the same at every step;
    ``du`` is (sample, step, e, f, m); ``old`` is dw (m, c, r, s), or None without ``dw_acc``. They
    have channels of whole tiles, of which those from ``c_size`` and ``m_size`` on do not count.
    """

    layer: ConvLayer
    lanes: int
    pixels: int
    format: Float
    spikes: NDArray
    du: NDArray
    m_size: int
    c_size: int
    old: NDArray | None = None
    plane: int = 0
    strips: list[tuple[int, int]] | None = None
    """Output rows of the commands, one after the other; one for all rows if None."""
    bases: tuple[int, int, int] = (0, 0, 0)

    @property
    def direct(self) -> bool:
        """Whether the input is the same at every step, and there is more than one."""
        return self.spikes.shape[1] != self.layer.steps

    @property
    def parts(self) -> list[tuple[ConvLayer, slice, slice]]:
        """The convolution of each command, the input rows it sees, and its output rows."""
        parts = []
        for first, last in self.strips or [(0, self.layer.e)]:
            part, begin = self.layer.fp_strip(first, last) if self.strips else (self.layer, 0)
            parts.append((part, slice(begin, begin + part.h), slice(first, last)))
        return parts

    def commands(self, *, skip: bool) -> Iterator[dict[str, int]]:
        """Fields of the commands; from the second on, they add to what is there."""
        spikes = layout_of(self.spike_words, self.bases[0])
        if self.direct:
            spikes = replace(spikes, step=0)
        du = layout_of(self.du_words, self.bases[1])
        for index, (part, seen, rows) in enumerate(self.parts):
            yield wg_pass(
                part,
                lanes=self.lanes,
                pixels=self.pixels,
                spikes=replace(spikes, base=spikes.base + seen.start * spikes.row),
                du=replace(du, base=du.base + rows.start * du.row),
                dw=self.bases[2],
                m_size=self.m_size,
                c_size=self.c_size,
                plane=self.plane,
                dw_acc=self.old is not None or index > 0,
                skip=skip,
            )

    @cached_property
    def spike_words(self) -> NDArray:
        """Any seed will do for what no engine may see."""
        return littered(np.random.default_rng(0), self.spikes, self.lanes, self.pixels)

    @cached_property
    def du_words(self) -> NDArray:
        codes = encode(tile_maps(self.du, self.lanes), self.format)
        return codes.astype(codes_dtype(self.format))

    def expected(self, status: Status) -> NDArray:
        """The words of dw that the model says are written."""
        dw = None if self.old is None else self.old[: self.m_size, : self.c_size]
        for part, seen, rows in self.parts:
            psum = psum_wg(
                self.spikes[:, :, seen, :, : self.c_size],
                self.du[:, :, rows, :, : self.m_size],
                kernel=part.kernel,
                stride=part.stride,
                padding=part.padding,
                status=status,
                format=self.format,
            )
            more = read_wg(psum, plane=self.plane, status=status, format=self.format)
            dw = more if dw is None else add_dw(dw, more, status=status)
        return tile_dw(dw, self.lanes)

    def counts(self, *, skip: bool) -> Counter:
        """What the counters must hold."""
        layer, lanes = self.layer, self.lanes
        shape = (*self.du.shape[:2], *self.spikes.shape[2:])
        spikes = np.broadcast_to(self.spikes, shape).astype(np.int64)
        counts: Counter = Counter()
        for index, (part, rows, _) in enumerate(self.parts):
            vectors = spikes[:, :, rows].reshape(*shape[:2], part.h, part.w, layer.c_tiles, lanes)
            counts.update(_walked(vectors, part, self.pixels, skip=skip))
            words = layer.m_tiles * layer.c_tiles * layer.kernel[0] * layer.kernel[1] * lanes
            counts["dw_writes"] += words
            counts["dw_reads"] += words if self.old is not None or index else 0
        return counts


def _walked(vectors: NDArray, layer: ConvLayer, pixels: int, *, skip: bool) -> dict[str, int]:
    """Counters of the walk over spikes (sample, step, h, w, tile, lane)."""
    silent = ~vectors.any(axis=-1)
    top, _, left, _ = layer.padding
    maps = layer.samples * layer.steps * layer.m_tiles * layer.c_tiles
    under = skipped = adding = words = 0
    for r in range(layer.kernel[0]):
        y = np.arange(layer.e) * layer.stride + r - top
        y = y[(y >= 0) & (y < layer.h)]
        for s in range(layer.kernel[1]):
            x = np.arange(layer.f) * layer.stride + s - left
            x = x[(x >= 0) & (x < layer.w)]
            under += maps * len(y) * len(x)
            skipped += int(silent[:, :, y][:, :, :, x].sum()) * layer.m_tiles
            adding += int(vectors[:, :, y][:, :, :, x].sum()) * layer.m_tiles
            words += maps * len(y) * len(np.unique(x // pixels))
    skipped = skipped if skip else 0
    return {
        "busy": under - skipped,
        "skipped": skipped,
        "lanes": adding,
        "spike_reads": words,
        "du_reads": under - skipped,
    }
