"""The weights of a layer in blocks whose gradients bp.dw holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.memory.dram_layout import spikes_of
from backspike.compiler.memory.parts import PART_CYCLES, Room, span, splits
from backspike.compiler.order.cycles import DENSITY

__all__ = [
    "GradientBlock",
    "GradientBlocks",
    "cheapest_samples",
    "cut_gradients",
    "gradient_first_rows",
    "kernel_rows",
]

WG_SHARE = 4
"""Of bp.du_next and bp.s, WG takes its operands from a half, and loads the next ones meanwhile."""


@dataclass(frozen=True, kw_only=True)
class GradientBlock:
    """Weights that one WG_CONV makes gradients of, and where in bp.dw they lie."""

    out_tiles: range
    in_tiles: range
    rows: range
    """Of the kernel."""
    dw: int
    """Words behind the beginning of the part of bp.dw that is used."""

    def __str__(self) -> str:
        """For people."""
        return f"{span('output tile', self.out_tiles)}, {span('input tile', self.in_tiles)}"


@dataclass(frozen=True, kw_only=True)
class GradientBlocks:
    """How a layer is cut."""

    out_tiles: tuple[range, ...]
    in_tiles: tuple[range, ...]
    rows: tuple[range, ...]
    """Of the kernel."""
    share: int
    """They take the ``share``-th part of bp.dw: with 2, some are stored while others are made."""

    def batches(self, layer: Lowered, words: int) -> Iterator[list[GradientBlock]]:
        """All blocks, as many at a time as ``words`` words hold."""
        batch: list[GradientBlock] = []
        free = words
        for out_tiles, rows, in_tiles in product(self.out_tiles, self.rows, self.in_tiles):
            tiles = len(out_tiles) * len(in_tiles)
            taken = tiles * len(rows) * layer.conv.kernel[1] * layer.lanes
            if taken > free:
                yield batch
                batch, free = [], words
            batch.append(
                GradientBlock(out_tiles=out_tiles, in_tiles=in_tiles, rows=rows, dw=words - free)
            )
            free -= taken
        yield batch


def kernel_rows(conv: ConvLayer, rows: range) -> tuple[ConvLayer, int]:
    """The convolution with some rows of its kernel only, and the input row its map begins with.

    Raises
    ------
    ValueError
        If they see nothing but padding.
    """
    if len(rows) == conv.kernel[0]:
        return conv, 0
    return conv.wg_strip(rows.start, rows.stop)


def gradient_first_rows(layer: Lowered, blocks: GradientBlocks) -> dict[str, set[int]]:
    """Rows that copies for WG begin with, by the region of the maps."""
    return {spikes_of(layer.index - 1): {kernel_rows(layer.conv, each)[1] for each in blocks.rows}}


def cheapest_samples(layer: Lowered, room: Room, *, batch: int, steps: int) -> int:
    """Samples that one WG_CONV sums up, so that those of a batch cost least.

    Raises
    ------
    ValueError
        If not even one sample fits, or the gradients of a row of a kernel do not.
    """
    found = []
    for samples in splits(batch):
        group = len(samples[0])
        cheapest = _cheapest(layer, room, group=group, groups=len(samples), steps=steps)
        if cheapest:
            found.append((cheapest[0], -group))
    if not found:
        cut_gradients(layer, room, group=1, batch=batch, steps=steps)  # says why
    return -min(found)[1]


def cut_gradients(
    layer: Lowered, room: Room, *, group: int, batch: int, steps: int, reloads: bool = False
) -> GradientBlocks:
    """The blocks of a layer that cost least, for a batch of which ``group`` samples go at a time.

    With ``reloads`` gradients are stored behind each group, and loaded again for the next.

    Raises
    ------
    ValueError
        If a group, or the gradients of a row of a kernel, does not fit.
    """
    group = min(group, batch)
    groups = -(-batch // group)
    best = _cheapest(layer, room, group=group, groups=groups, steps=steps, reloads=reloads)
    if best:
        return best[1]
    possible = [blocks for blocks in _all_blocks(layer) if _fits(layer, room, blocks)]
    if not possible:
        raise ValueError(
            f"a row of the kernels of one tile of weights of layer {layer.index} must take at most "
            f"{room.words('bp.dw')} words of bp.dw, and be whole beats of the bus, "
            f"not {layer.conv.kernel[1] * layer.lanes} words"
        )
    for name, each in _sample_words(layer, room, possible[-1], steps).items():
        words = room.words(name, WG_SHARE)
        if each > words:
            raise ValueError(
                f"a sample of layer {layer.index} must take at most {words} words of {name} (a "
                f"quarter of it) for WG, not {each}"
            )
        if group * each > words:
            raise ValueError(
                f"wg_samples must be at most {words // each} for layer {layer.index}, of which a "
                f"sample takes {each} of {words} words of {name}, not {group}"
            )
    raise AssertionError("what fits has a cost")


def _all_blocks(layer: Lowered) -> Iterator[GradientBlocks]:
    """All ways to cut a layer, the coarsest first."""
    conv = layer.conv
    for rows, out_tiles, in_tiles, share in product(
        splits(conv.kernel[0]), splits(conv.m_tiles), splits(conv.c_tiles), (2, 1)
    ):
        yield GradientBlocks(out_tiles=out_tiles, in_tiles=in_tiles, rows=rows, share=share)


def _sample_words(layer: Lowered, room: Room, blocks: GradientBlocks, steps: int) -> dict[str, int]:
    """Words of the SRAMs that the operands of the largest block take, for each sample."""
    conv = layer.conv
    seen = max(kernel_rows(conv, rows)[0].h for rows in blocks.rows)
    return {
        "bp.du_next": len(blocks.out_tiles[0]) * steps * conv.e * conv.f,
        "bp.s": len(blocks.in_tiles[0]) * layer.input_steps * seen * room.spike_words(conv.w),
    }


def _cheapest(
    layer: Lowered, room: Room, *, group: int, groups: int, steps: int, reloads: bool = False
) -> tuple[float, GradientBlocks] | None:
    """Cycles of the blocks that cost least, beside those of the sums themselves, and the blocks."""
    conv, planes = layer.conv, layer.planes + 1
    lanes, dw_lanes = layer.lanes, room.config.array.dw_lanes
    columns = layer.c_size if conv.c_tiles == 1 else lanes
    readout = lanes * -(-columns // dw_lanes)
    summing = DENSITY["WG_CONV"] * group * steps * conv.e * conv.f
    positions = conv.m_tiles * conv.c_tiles * conv.kernel[0] * conv.kernel[1]
    best: tuple[float, GradientBlocks] | None = None
    for blocks in _all_blocks(layer):
        if not _fits(layer, room, blocks):
            continue
        each = _sample_words(layer, room, blocks, steps)
        if any(group * words > room.words(name, WG_SHARE) for name, words in each.items()):
            continue
        m, c, r = len(blocks.out_tiles), len(blocks.in_tiles), len(blocks.rows)
        beats = {
            name: groups * group * words * room.word_bytes(name) / room.bus_bytes
            for name, words in each.items()
        }
        cycles = (
            groups * planes * (m * c * r * PART_CYCLES + positions * max(0.0, readout - summing))
        )
        # All blocks of a group come one behind the other if gradients are loaded again for each.
        cycles += m * (1 if reloads else c * r) * beats["bp.du_next"]
        cycles += m * c * r * planes * beats["bp.s"]
        if blocks.share == 1:
            times = 2 * groups - 1 if reloads else 1
            cycles += times * layer.weight_rows * room.word_bytes("bp.dw") / room.bus_bytes
        if best is None or cycles < best[0]:
            best = cycles, blocks
    return best


def _fits(layer: Lowered, room: Room, blocks: GradientBlocks) -> bool:
    """Whether bp.dw holds a block, and copies begin where they may."""
    conv = layer.conv
    row = conv.kernel[1] * layer.lanes
    words = len(blocks.out_tiles[0]) * len(blocks.in_tiles[0]) * len(blocks.rows[0]) * row
    if words > room.words("bp.dw", blocks.share):
        return False
    # Copies begin where blocks do, and at each tile of them unless those lie side by side.
    begins = []
    if len(blocks.rows) > 1:
        begins += [len(blocks.rows[0]) * row, conv.kernel[0] * row]
        for rows in blocks.rows:
            try:
                kernel_rows(conv, rows)
            except ValueError:
                return False
    if len(blocks.in_tiles) > 1:
        begins += [len(blocks.in_tiles[0]) * layer.tile_rows, conv.c_tiles * layer.tile_rows]
    if len(blocks.out_tiles) > 1:
        begins.append(len(blocks.out_tiles[0]) * conv.c_tiles * layer.tile_rows)
    return all(each * room.word_bytes("bp.dw") % room.bus_bytes == 0 for each in begins)
