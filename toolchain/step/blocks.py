"""The weights of a layer in blocks whose gradients bp.dw holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from hw.conv.lowering import ConvLayer
from hw.wg.schedule import WG_SHARE
from toolchain.step.layers import Lowered
from toolchain.step.parts import PART_CYCLES, Room, span, splits

__all__ = ["Block", "Blocks", "cut_gradients", "kernel_rows"]


@dataclass(frozen=True, kw_only=True)
class Block:
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
class Blocks:
    """How a layer is cut."""

    out_tiles: tuple[range, ...]
    in_tiles: tuple[range, ...]
    rows: tuple[range, ...]
    """Of the kernel."""
    share: int
    """They take the ``share``-th part of bp.dw: with 2, some are stored while others are made."""

    def batches(self, layer: Lowered, words: int) -> Iterator[list[Block]]:
        """All blocks, as many at a time as ``words`` words hold."""
        batch: list[Block] = []
        free = words
        for out_tiles, rows, in_tiles in product(self.out_tiles, self.rows, self.in_tiles):
            tiles = len(out_tiles) * len(in_tiles)
            taken = tiles * len(rows) * layer.conv.kernel[1] * layer.lanes
            if taken > free:
                yield batch
                batch, free = [], words
            batch.append(Block(out_tiles=out_tiles, in_tiles=in_tiles, rows=rows, dw=words - free))
            free -= taken
        yield batch


def kernel_rows(conv: ConvLayer, rows: range) -> tuple[ConvLayer, int]:
    """The convolution with some rows of its kernel only, and the input row its map begins with.

    Raises
    ------
    ValueError
        If they see nothing but padding.
    """
    top = conv.padding[0] - rows.start
    # The last output row sees down to here; the padding below goes with it.
    end = (conv.e - 1) * conv.stride + rows.stop - conv.padding[0]
    begin = max(0, -top)
    end = min(conv.h, end)
    if begin >= end:
        raise ValueError(
            f"kernel rows {rows.start} to {rows.stop - 1} must see a row of the map of {conv.h}"
        )
    height = (conv.e - 1) * conv.stride + len(rows)
    bottom = height - max(0, top) - (end - begin)
    padding = (max(0, top), max(0, bottom), *conv.padding[2:])
    return replace(conv, h=end - begin, kernel=(len(rows), conv.kernel[1]), padding=padding), begin


def cut_gradients(layer: Lowered, room: Room, *, group: int, groups: int, steps: int) -> Blocks:
    """The blocks of a layer that cost least, for ``groups`` of ``group`` samples at a time.

    Raises
    ------
    ValueError
        If a group, or the gradients of a row of a kernel, does not fit.
    """
    conv = layer.conv
    du_words = steps * conv.e * conv.f
    spike_words = layer.input_steps * conv.h * room.spike_words(conv.w)
    rooms = {
        "bp.du_next": (room.words("bp.du_next", WG_SHARE), du_words),
        "bp.s": (room.words("bp.s", WG_SHARE), spike_words),
    }
    for name, (words, each) in rooms.items():
        if group * each > words:
            raise ValueError(
                f"wg_samples must be at most {words // each} for layer {layer.index}, of which a "
                f"sample takes {each} of {words} words of {name}, not {group}"
            )
    most_out = rooms["bp.du_next"][0] // (group * du_words)
    most_in = rooms["bp.s"][0] // (group * spike_words)
    du_beats = groups * group * du_words * room.word_bytes("bp.du_next") / room.bus_bytes
    spike_beats = groups * group * spike_words * room.word_bytes("bp.s") / room.bus_bytes
    spike_beats *= layer.planes + 1

    def cost(blocks: Blocks) -> float:
        m, c, r = len(blocks.out_tiles), len(blocks.in_tiles), len(blocks.rows)
        cycles = float(m * c * r * groups * (layer.planes + 1) * PART_CYCLES)
        cycles += r * (c * conv.m_tiles * du_beats + m * conv.c_tiles * spike_beats)
        if blocks.share == 1:
            cycles += layer.weight_rows * room.word_bytes("bp.dw") / room.bus_bytes
        return cycles

    best: tuple[float, Blocks] | None = None
    for out_tiles, in_tiles, rows, share in product(
        splits(conv.m_tiles), splits(conv.c_tiles), splits(conv.kernel[0]), (2, 1)
    ):
        if len(out_tiles[0]) > most_out or len(in_tiles[0]) > most_in:
            continue
        blocks = Blocks(out_tiles=out_tiles, in_tiles=in_tiles, rows=rows, share=share)
        if not _fits(layer, room, blocks):
            continue
        cycles = cost(blocks)
        if best is None or cycles < best[0]:
            best = cycles, blocks
    if best is None:
        raise ValueError(
            f"a row of the kernels of one tile of weights of layer {layer.index} must take at most "
            f"{room.words('bp.dw')} words of bp.dw, and be whole beats of the bus, "
            f"not {conv.kernel[1] * layer.lanes} words"
        )
    return best[1]


def _fits(layer: Lowered, room: Room, blocks: Blocks) -> bool:
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
