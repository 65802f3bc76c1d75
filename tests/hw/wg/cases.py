"""Weight gradients for the WG bench: data, where they lie, and what the model makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hw.arith.format import FP32, Float
from hw.conv.lowering import ConvLayer
from hw.wg.command import wg_pass
from sim.harness.layout import codes_dtype, pack_spikes, place, tile_maps, tile_weights
from sim.model import Status, add_dw, encode, psum_wg, read_wg

__all__ = ["DEPTHS", "WgCase", "tile_dw"]

DEPTHS = {"spike": 8192, "du": 32768, "dw": 4096}
"""Words of the bench's memories."""


def tile_dw(dw: NDArray, lanes: int) -> NDArray:
    """(m, c, r, s) binary32 values as codes (row of m, c lane), in the order of the tiles."""
    values = tile_weights(np.asarray(dw, np.float32), lanes, None).reshape(-1, lanes)
    return np.where(np.isnan(values), FP32.nan, values.view(np.uint32)).astype(np.uint32)


@dataclass(frozen=True, kw_only=True)
class WgCase:
    """One WG instruction with its operands; channels are whole tiles.

    ``spikes`` is (sample, step, h, w, c), with one step if the input is the same at every step;
    ``du`` is (sample, step, e, f, m); ``old`` is dw (m, c, r, s), or None without ``dw_acc``.
    """

    layer: ConvLayer
    lanes: int
    pixels: int
    format: Float
    spikes: NDArray
    du: NDArray
    old: NDArray | None = None
    plane: int = 0
    bases: tuple[int, int, int] = (0, 0, 0)

    def fields(self, *, skip: bool) -> dict[str, int]:
        """Of the command."""
        spikes = place(self.spike_words, self.bases[0])
        if self.spikes.shape[1] != self.layer.steps:
            spikes = replace(spikes, step=0)
        return wg_pass(
            self.layer,
            lanes=self.lanes,
            pixels=self.pixels,
            spikes=spikes,
            du=place(self.du_words, self.bases[1]),
            dw=self.bases[2],
            plane=self.plane,
            dw_acc=self.old is not None,
            skip=skip,
        )

    @property
    def spike_words(self) -> NDArray:
        return pack_spikes(self.spikes, self.lanes, self.pixels)

    @property
    def du_words(self) -> NDArray:
        codes = encode(tile_maps(self.du, self.lanes), self.format)
        return codes.astype(codes_dtype(self.format))

    def expected(self, status: Status) -> NDArray:
        """The words of dw that the model says are written."""
        layer = self.layer
        psum = psum_wg(
            self.spikes,
            self.du,
            kernel=layer.kernel,
            stride=layer.stride,
            padding=layer.padding,
            status=status,
            format=self.format,
        )
        dw = read_wg(psum, plane=self.plane, status=status, format=self.format)
        if self.old is not None:
            dw = add_dw(self.old, dw, status=status)
        return tile_dw(dw, self.lanes)

    def counts(self, *, skip: bool) -> dict[str, int]:
        """What the counters must hold."""
        layer, lanes = self.layer, self.lanes
        spikes = np.broadcast_to(self.spikes, (*self.du.shape[:2], *self.spikes.shape[2:])).astype(
            np.int64
        )
        vectors = spikes.reshape(*spikes.shape[:4], layer.c_tiles, lanes)
        silent = ~vectors.any(axis=-1)
        top, _, left, _ = layer.padding
        maps = layer.samples * layer.steps * layer.m_tiles * layer.c_tiles
        seen = skipped = adding = words = 0
        for r in range(layer.kernel[0]):
            y = np.arange(layer.e) * layer.stride + r - top
            y = y[(y >= 0) & (y < layer.h)]
            for s in range(layer.kernel[1]):
                x = np.arange(layer.f) * layer.stride + s - left
                x = x[(x >= 0) & (x < layer.w)]
                seen += maps * len(y) * len(x)
                skipped += int(silent[:, :, y][:, :, :, x].sum()) * layer.m_tiles
                adding += int(vectors[:, :, y][:, :, :, x].sum()) * layer.m_tiles
                words += maps * len(y) * len(np.unique(x // self.pixels))
        skipped = skipped if skip else 0
        rows = layer.m_tiles * layer.c_tiles * layer.kernel[0] * layer.kernel[1] * lanes
        return {
            "busy": seen - skipped,
            "skipped": skipped,
            "lanes": adding,
            "spike_reads": words,
            "du_reads": seen - skipped,
            "dw_reads": rows if self.old is not None else 0,
            "dw_writes": rows,
        }
