"""FP and BP: what a :class:`.ConvCommand` does to the SRAMs of a core."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backspike.hw.config import ChipConfig
from backspike.sim.model.conv import psum_bp, psum_fp
from backspike.sim.model.machine.memories import Memories, low_bits
from backspike.sim.model.machine.walk import Windows, grouped, loop, nested, wrapped
from backspike.sim.model.number import Bits, Integers, Status, Values, decode, psum_nan

__all__ = ["run_bp", "run_fp"]


def run_fp(
    command: Mapping[str, int], memories: Memories, config: ChipConfig, status: Status
) -> None:
    """A pass of FP: psums in fp.conv_fp of the spikes in fp.s_in and the weights in fp.w.

    Raises
    ------
    ValueError
        If a sum could have more terms than its psum is made for.
    """
    walk = _Pass(command, memories, config)
    spikes = walk.windows.spikes(memories, "fp.s_in")
    w = walk.tiles("fp.w").transpose(0, 4, 1, 2, 3, 5)  # (out tile, m, in tile, r, s, c)
    # A pixel is a map of its own, and all that its kernel sees are the channels of that map.
    inputs = _one_pixel(spikes).astype(np.int32) << walk.fields["shift"]
    w = w.reshape(walk.channels, -1, 1, 1)
    psum = psum_fp(inputs, w, status=status, format=config.format)
    walk.store("fp.conv_fp", psum, walk.busy(spikes != 0), config.format.psum_bits)


def run_bp(
    command: Mapping[str, int], memories: Memories, config: ChipConfig, status: Status
) -> None:
    """A pass of BP: psums in bp.conv_bp of du in bp.du_next and the weights in bp.w, transposed.

    With ``mask``, lanes without fire, which is read from bp.s, take no part.

    Raises
    ------
    ValueError
        If a sum could have more terms than its psum is made for.
    """
    walk = _Pass(command, memories, config)
    du = walk.windows.values(memories, "bp.du_next")
    w = walk.tiles("bp.w").transpose(1, 2, 3, 4, 0, 5)  # (in tile, r, s, m, out tile, c)
    w = w.reshape(-1, walk.channels, 1, 1)
    fire = walk.fire("bp.s") if walk.fields["mask"] else None
    psum = psum_bp(
        _one_pixel(du),
        w,
        size=(1, 1),
        mask=None if fire is None else _one_pixel(fire),
        status=status,
        format=config.format,
    )
    walk.store("bp.conv_bp", psum, walk.busy(du != 0, fire), config.format.product_psum_bits)


def _one_pixel(pixels: NDArray) -> NDArray:
    """What belongs to each output pixel (n, t, y, x, ...) as the channels of a map of 1x1."""
    return pixels.reshape(-1, 1, 1, int(np.prod(pixels.shape[4:])))


class _Pass:
    """A pass of either engine. Its outputs have the axes (n, t, y, x, out tile, lane)."""

    def __init__(self, command: Mapping[str, int], memories: Memories, config: ChipConfig):
        self.fields = f = defaultdict(int, command)
        self._memories = memories
        self._config = config
        rows = f["in_base"] + nested(
            loop(f["samples"], f["in_sample"]),
            loop(f["steps"], f["in_step"]),
            loop(f["out_h"], f["in_out_row"]),
            self._tiles(f["in_group"], f["in_tile"]),
            self._kernel_rows(f["in_row_group"], f["in_row"]),
        )
        kernel_rows = self._kernel_rows(f["group_rows"], 1)
        self.windows = Windows.of(
            rows,
            nested(loop(f["out_h"], f["stride"]), kernel_rows) - f["pad_top"],
            nested(loop(f["out_w"], f["stride"]), loop(f["kernel_w"])) - f["pad_left"],
            (f["in_h"], f["in_w"]),
        )

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.fields["out_tiles"] * self._config.array.lanes

    def _tiles(self, group: int, each: int) -> Integers:
        """What the loops over input tiles add, the last group of which may be smaller."""
        f = self.fields
        return grouped(f["in_groups"], f["group_tiles"], f["last_tiles"], group, each)

    def _kernel_rows(self, group: int, each: int) -> Integers:
        """The same for the rows of the kernel."""
        f = self.fields
        return grouped(f["row_groups"], f["group_rows"], f["last_rows"], group, each)

    def tiles(self, name: str) -> Values:
        """Weights (out tile, in tile, r, s, row of the tile, lane)."""
        f, array = self.fields, self._config.array
        word = f["w_base"] + nested(
            loop(f["out_tiles"], f["w_out_tile"]),
            self._tiles(f["w_group"], f["w_tile"]),
            self._kernel_rows(f["w_row_group"], f["w_row"]),
            loop(f["kernel_w"], f["w_col"]),
            loop(array.lanes // array.weight_words),
        )
        codes = self._memories.words(name)[wrapped(word)]
        codes = codes.reshape(*word.shape[:-1], array.lanes, array.lanes)
        return decode(codes, self._config.format)

    def fire(self, name: str) -> Bits:
        """The fire bits of the outputs."""
        f, pixels = self.fields, self._config.array.spike_pixels
        x = f["fire_x"] + loop(f["out_w"], f["fire_col"])
        word = f["fire_base"] + self._outputs("fire", loop(f["out_h"], f["fire_row"]), x // pixels)
        pixel = np.broadcast_to((x % pixels)[:, None], word.shape)
        return self._memories.read_bits(name, wrapped(word), pixel) != 0

    def _outputs(self, kind: str, row: Integers, column: Integers) -> Integers:
        """What the loops over outputs add to the addresses of a kind of map."""
        f = self.fields
        return nested(
            loop(f["samples"], f[f"{kind}_sample"]),
            loop(f["steps"], f[f"{kind}_step"]),
            row,
            column,
            loop(f["out_tiles"], f[f"{kind}_tile"]),
        )

    def busy(self, takes_part: Bits, fire: Bits | None = None) -> Bits:
        """Outputs that go through the array: others are not even read."""
        if self.fields["skip"]:
            busy = np.asarray(takes_part.any(axis=(4, 5, 6, 7)))[..., None]
            return busy if fire is None else busy & fire.any(axis=-1)
        present = np.asarray(self.windows.inside.any(axis=(2, 3, 4)))
        return np.broadcast_to(present[..., None], (*takes_part.shape[:4], 1))

    def store(self, name: str, psum: Integers, busy: Bits, bits: int) -> None:
        """Writes the sums, or adds them to the psums of outputs that are busy.

        Sums wrap as in the hardware, where a chain is longer than the compiler allows.
        """
        f = self.fields
        word = wrapped(
            f["out_base"]
            + self._outputs("out", loop(f["out_h"], f["out_row"]), loop(f["out_w"], f["out_col"]))
        )
        psums = self._memories.words(name)
        psum = psum.reshape(*word.shape, self._config.array.lanes)
        if f["psum_acc"]:
            busy = np.broadcast_to(busy, word.shape)
            word, psum = word[busy], psum[busy]
            old = low_bits(psums[word], bits)
            is_nan = (old == psum_nan(bits)) | (psum == psum_nan(bits))
            psum = np.where(is_nan, psum_nan(bits), low_bits(old + psum, bits))
        psums[word] = psum
