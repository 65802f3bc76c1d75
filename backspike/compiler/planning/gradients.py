"""WG of the BP sub-core: weight gradients, block by block, beside the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from backspike.compiler.lowering.gradient import wg_operands
from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.memory.dram import Axis, transfers
from backspike.compiler.memory.parts import Ring, span
from backspike.compiler.planning.blocks import GradientBlock, GradientBlocks, kernel_rows
from backspike.compiler.planning.context import Builder

__all__ = ["Gradients"]


class _Cache:
    """Two parts of an SRAM, and what is in them."""

    def __init__(self, ring: Ring):
        self._ring = ring
        self._there: dict[Hashable, int] = {}

    def find(self, key: Hashable) -> tuple[int, bool]:
        """Where it is, and whether it must be loaded; the part used least recently makes room."""
        new = key not in self._there
        if not new:
            base = self._there.pop(key)
        elif len(self._there) == 2:
            base = self._there.pop(next(iter(self._there)))
        else:
            base = self._ring.take()
        self._there[key] = base
        return base, new


class Gradients:
    """Weight gradients, and which part of each SRAM is next.

    Methods add instructions to the program, a WG_CONV at a time, and stop in between. bp.du_next
    and bp.s are used in their second halves.

    Parameters
    ----------
    builder : Builder
    cuts : mapping of layer to GradientBlocks
        Of all layers whose gradients are made.
    """

    def __init__(self, builder: Builder, cuts: Mapping[int, GradientBlocks]):
        self._builder, self._context = builder, builder.context
        self._cuts = cuts
        self._du, self._s = (_Cache(builder.quarters(name, 2)) for name in ("du_next", "s"))
        self._rings: dict[int, Ring] = {}
        """Of bp.dw, by the number of its parts."""

    def layer(self, layer: Lowered, ready: Callable[[int], bool]) -> Iterator[bool]:
        """dw of a layer over the batch, as many blocks at a time as bp.dw holds.

        It goes on, and gives true, as long as du of so many samples is ``ready``.
        """
        for there in self._batches(layer):
            base = self._ring(layer).take()
            for samples in self.groups(layer):
                while not ready(samples.stop):
                    yield False
                for _ in self._sum(layer, there, base, samples):
                    yield True
            for block in there:
                self._move("DMA_WR", layer, block, base + block.dw)
                yield True

    def group(self, layer: Lowered, samples: range) -> Iterator[None]:
        """dw of a group of samples, on top of what the groups in front of it have left in DRAM."""
        for there in self._batches(layer):
            base = self._ring(layer).take()
            if samples.start:
                for block in there:
                    self._move("DMA_RD", layer, block, base + block.dw)
            yield from self._sum(layer, there, base, samples)
            for block in there:
                self._move("DMA_WR", layer, block, base + block.dw)

    def groups(self, layer: Lowered) -> Iterator[range]:
        """Samples that are summed up at a time, ascending."""
        size = self._context.network.wg_groups[layer.index]
        for first in range(0, self._context.batch, size):
            yield range(first, min(first + size, self._context.batch))

    def _batches(self, layer: Lowered) -> Iterator[list[GradientBlock]]:
        blocks = self._cuts[layer.index]
        return blocks.batches(layer, self._context.room.words("bp.dw", blocks.share))

    def _ring(self, layer: Lowered) -> Ring:
        share = self._cuts[layer.index].share
        words = self._context.room.words("bp.dw", share)
        return self._rings.setdefault(share, Ring(0, words, share))

    def _sum(
        self, layer: Lowered, blocks: Sequence[GradientBlock], base: int, samples: range
    ) -> Iterator[None]:
        """Adds a group of samples to dw of these blocks, planes ascending."""
        for block, plane in product(blocks, range(layer.planes + 1)):
            what = f"of layer {layer.index}, {block}, {span('sample', samples)}"
            self._convolve(
                layer,
                block,
                samples,
                du=self._du_of(layer, block.out_tiles, samples, what),
                spikes=self._spikes_of(layer, block, samples, plane, what),
                dw=base + block.dw,
                plane=plane,
                dw_acc=samples.start > 0 or plane > 0,
                what=what,
            )
            yield

    def _du_of(self, layer: Lowered, tiles: range, samples: range, what: str) -> int:
        base, new = self._du.find((layer.index, tiles, samples))
        if new:
            copies = self._context.layout.du[layer.index].copies(
                base, steps=range(self._context.network.steps), samples=samples, tiles=tiles
            )
            self._builder.move("DMA_RD", "du_next", copies, reason=f"du {what}", relies=range(0))
        return base

    def _spikes_of(
        self, layer: Lowered, block: GradientBlock, samples: range, plane: int, what: str
    ) -> int:
        conv, begin = kernel_rows(layer.conv, block.rows)
        rows = range(begin, begin + conv.h)
        base, new = self._s.find((layer.index, block.in_tiles, rows, samples, plane))
        if new:
            layout, planes = self._context.layout, layer.planes + 1
            copies = layout.s_out[layer.index - 1].copies(
                base,
                steps=range(plane, planes * layer.input_steps, planes),
                samples=samples,
                tiles=block.in_tiles,
                rows=rows,
            )
            relies = samples if layer.index else range(0)
            self._builder.move("DMA_RD", "s", copies, reason=f"input {what}", relies=relies)
        return base

    def _convolve(
        self,
        layer: Lowered,
        block: GradientBlock,
        samples: range,
        *,
        du: int,
        spikes: int,
        dw: int,
        plane: int,
        dw_acc: bool,
        what: str,
    ) -> None:
        out_tiles, in_tiles = block.out_tiles, block.in_tiles
        steps, room = self._context.network.steps, self._context.room
        conv, _ = kernel_rows(layer.conv, block.rows)
        row = room.spike_words(conv.w)
        tile = conv.h * row
        step = len(samples) * len(in_tiles) * tile
        operands = wg_operands(
            replace(
                conv,
                m_tiles=len(out_tiles),
                c_tiles=len(in_tiles),
                samples=len(samples),
                steps=steps,
            ),
            lanes=layer.lanes,
            pixels=self._context.config.array.spike_pixels,
            spikes=Layout(
                base=spikes,
                row=row,
                tile=tile,
                sample=len(in_tiles) * tile,
                step=step if layer.input_steps > 1 else 0,
            ),
            du=Layout(
                base=du,
                sample=len(out_tiles) * conv.e * conv.f,
                step=len(samples) * len(out_tiles) * conv.e * conv.f,
            ),
            dw=dw,
            m_size=layer.channels(out_tiles, layer.layer.m_size),
            c_size=layer.channels(in_tiles, layer.c_size),
            plane=plane,
            dw_acc=dw_acc,
        )
        self._builder.add("WG_CONV", operands, reason=f"WG {what}")

    def _move(self, mnemonic: str, layer: Lowered, block: GradientBlock, base: int) -> None:
        """Copies dw of a block from DRAM, or to it."""
        layout, conv = self._context.layout, layer.conv
        row = conv.kernel[1] * layer.lanes
        words, width = len(block.rows) * row, layout.wide_row
        first = (block.out_tiles.start * conv.c_tiles + block.in_tiles.start) * layer.tile_rows
        first += layout.first_row[layer.index] + block.rows.start * row
        copies = transfers(
            base=base,
            dram=layout.dw + first * width,
            axes=[
                Axis(
                    len(block.out_tiles),
                    len(block.in_tiles) * words,
                    conv.c_tiles * layer.tile_rows * width,
                ),
                Axis(len(block.in_tiles), words, layer.tile_rows * width),
            ],
            words=words,
            word_bytes=width,
        )
        what = f"dw of layer {layer.index}, {block}"
        self._builder.move(mnemonic, "dw", copies, reason=what, relies=range(0))
