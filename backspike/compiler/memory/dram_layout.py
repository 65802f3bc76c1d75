"""Where everything of a training step lies in DRAM, and how numpy arrays go in and out of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.lowering.words import codes_dtype, pack_spikes, tile_maps, tile_weights
from backspike.compiler.memory.dram import ALIGNMENT, Allocator, Maps, rounded_up
from backspike.compiler.memory.parts import Room
from backspike.hw.arith.format import BINARY32
from backspike.network import Network
from backspike.sim.model import decode, encode
from backspike.sim.model.machine.memories import Bytes
from backspike.sim.model.network import Weights
from backspike.sim.model.number import Bits, Values
from backspike.sim.model.update import F32

__all__ = ["DramLayout", "spikes_of"]


def spikes_of(index: int) -> str:
    """The region of the spikes that a layer makes; the input is what layer -1 makes."""
    return f"s_out {index}" if index >= 0 else "x"


class DramLayout:
    """DRAM of a core in a training step.

    Maps are found by the number of the layer that makes them; the input is what layer -1 makes.
    Weights lie as rows of tiles, all layers one behind the other, four times: gradients, masters
    and momenta in binary32, and as the SRAMs hold them. Row ``first_row[l]`` is the first of layer
    l in each of them.

    Parameters
    ----------
    forward, gradients : collection of int
        Layers whose FP the core does, and those whose WG; all of them if left out.
    cuts : mapping of region to rows
        Rows that copies of maps begin with: of ``u 0``, ``du 0``, :func:`spikes_of` and so on.
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[Lowered],
        room: Room,
        *,
        batch: int,
        forward: Collection[int] | None = None,
        gradients: Collection[int] | None = None,
        cuts: Mapping[str, set[int]] | None = None,
    ):
        everything = range(len(layers))
        self.forward = everything if forward is None else forward
        self.gradients = everything if gradients is None else gradients
        self._network, self._layers, self._room = network, layers, room
        self.batch = batch
        self._format, self._lanes = network.format, room.config.array.lanes
        self._pixels = room.config.array.spike_pixels
        self.dram = Allocator()
        self.u, self.s_out, self.du = (dict[int, Maps]() for _ in range(3))
        self.first_row: dict[int, int] = {}
        self._take_maps(cuts or {})
        self._take_weights()

    def _take_maps(self, cuts: Mapping[str, set[int]]) -> None:
        """Gives every map its place."""
        first, last, steps = self._layers[0], self._layers[-1], self._network.steps
        maps = partial(self._maps, cuts)
        if 0 in self.forward or 0 in self.gradients:
            conv, planes = first.conv, first.input_steps * (first.planes + 1)
            # Bit planes of step 0, of step 1, ...
            self.s_out[-1] = maps(
                spikes_of(-1), planes, conv.c_tiles, (conv.h, conv.w), spikes=True
            )
        for layer in self._layers:
            index, neurons = layer.index, (layer.conv.e, layer.conv.f)
            common = steps, layer.conv.m_tiles
            if index in self.forward:
                self.u[index] = maps(f"u {index}", *common, neurons, spikes=False)
                self.s_out[index] = maps(spikes_of(index), *common, layer.pooled, spikes=True)
            if index in self.gradients:
                self.du[index] = maps(f"du {index}", *common, neurons, spikes=False)
        if last.index in self.forward:
            one = 1, last.conv.m_tiles, (1, 1)
            self.targets = maps("targets", *one, spikes=False)
            self.rates = maps("rates", *one, spikes=False)

    def _maps(
        self,
        cuts: Mapping[str, set[int]],
        name: str,
        steps: int,
        tiles: int,
        size: tuple[int, int],
        *,
        spikes: bool,
    ) -> Maps:
        """The region of one kind of maps, with rows that begin where copies may."""
        room = self._room
        row_words = room.spike_words(size[1]) if spikes else size[1]
        word_bytes = room.word_bytes("bp.s" if spikes else "bp.u")
        made = Maps(
            address=self.dram.size,
            steps=steps,
            samples=self.batch,
            tiles=tiles,
            rows=size[0],
            row_words=row_words,
            word_bytes=word_bytes,
            bus_bytes=room.bus_bytes,
            padded=any(
                row * row_words * word_bytes % room.bus_bytes for row in cuts.get(name, set())
            ),
        )
        self.dram.take(name, made.size)
        return made

    def _take_weights(self) -> None:
        """Gives the rows of all layers that are there their places."""
        room = self._room
        rows, unit = 0, max(ALIGNMENT // room.row_bytes, room.config.array.weight_words)
        for layer in self._layers:
            if layer.index in self.forward or layer.index in self.gradients:
                self.first_row[layer.index] = rows
                rows = rounded_up(rows + layer.weight_rows, unit)
        self.rows = rows
        self.wide_row = self._lanes * BINARY32.width // 8
        """Bytes of a row in binary32."""
        self.dw, self.w, self.v = (
            self.dram.take(name, rows * self.wide_row).address for name in ("dw", "w", "v")
        )
        self.stored = self.dram.take("w stored", rows * room.row_bytes).address

    # --- In ---------------------------------------------------------------------------------

    def put_weights(self, dram: Bytes, weights: Sequence[Weights]) -> None:
        """Writes masters, momenta and stored weights of all layers that are there."""
        for layer, state in zip(self._layers, weights, strict=True):
            if layer.index not in self.first_row:
                continue
            for address, array, stored in (
                (self.w, state.w, False),
                (self.v, state.v, False),
                (self.stored, state.w_stored, True),
            ):
                tiles = tile_weights(
                    self._as_kernels(layer, array), self._lanes, self._format if stored else None
                )
                rows = np.ascontiguousarray(tiles).reshape(-1, self._lanes)
                view = rows.view(np.uint8)
                first = address + self.first_row[layer.index] * view.shape[1]
                dram[first : first + view.size] = view.reshape(-1)

    def put_batch(self, dram: Bytes, x: NDArray, targets: Values) -> None:
        """Writes an input and the firing rates asked for, each where the core needs it.

        They are as :func:`backspike.sim.model.network.train_step` has them.

        Raises
        ------
        ValueError
            If they do not have the shapes or the numbers that the programs are for.
        """
        first, planes = self._layers[0], self._layers[0].planes
        shape = (first.input_steps, self.batch, *self._network.input_size)
        if x.shape != shape:
            raise ValueError(f"the input must have the shape {shape}, not {x.shape}")
        if x.min() < 0 or x.max() >= 2 << planes:
            raise ValueError(
                f"inputs must be whole numbers from 0 to {(2 << planes) - 1}, "
                f"not {x.min()} to {x.max()}"
            )
        wanted = (self.batch, self._layers[-1].layer.m_size)
        if targets.shape != wanted:
            raise ValueError(f"targets must have the shape {wanted}, not {targets.shape}")
        if -1 in self.s_out:
            self._put_input(dram, x, planes)
        if self._layers[-1].index in self.forward:
            self._put_values(dram, self.targets, targets[None, :, None, None, :])

    def _put_input(self, dram: Bytes, x: NDArray, planes: int) -> None:
        bits = np.stack([x.astype(np.int64) >> planes - b & 1 for b in range(planes + 1)], axis=1)
        words = pack_spikes(bits.reshape(-1, *x.shape[1:]), self._lanes, self._pixels)
        self.s_out[-1].words(dram)[:] = words

    def _put_values(self, dram: Bytes, maps: Maps, values: Values) -> None:
        codes = encode(tile_maps(values, self._lanes), self._format)
        codes = np.ascontiguousarray(codes.astype(codes_dtype(self._format)))
        maps.words(dram)[:] = codes.view(np.uint8).reshape(maps.words(dram).shape)

    # --- Out --------------------------------------------------------------------------------

    def values(self, dram: Bytes, maps: Maps, channels: int) -> Values:
        """Values (t, n, y, x, c)."""
        codes = np.ascontiguousarray(maps.words(dram)).view(codes_dtype(self._format))
        return _untiled(decode(codes, self._format), channels)

    def spikes(self, dram: Bytes, maps: Maps, columns: int, channels: int) -> Bits:
        """Spikes (t, n, y, x, c)."""
        bits = np.unpackbits(maps.words(dram), axis=-1, bitorder="little")
        bits = bits.reshape(*bits.shape[:4], -1, self._lanes)[..., :columns, :]
        return _untiled(bits, channels) != 0

    def wide(self, dram: Bytes, name: str, index: int) -> F32:
        """``dw``, ``w`` or ``v`` of a layer, (m, c, r, s) as the network has it."""
        rows = self._rows_of(dram, getattr(self, name), self.wide_row, index)
        return self._as_weights(self._layers[index], rows.view(np.float32))

    def stored_weights(self, dram: Bytes, index: int) -> Values:
        """The weights that the SRAMs hold."""
        rows = self._rows_of(dram, self.stored, self._room.row_bytes, index)
        codes = rows.view(codes_dtype(self._format))
        return decode(self._as_weights(self._layers[index], codes), self._format)

    def _rows_of(self, dram: Bytes, address: int, width: int, index: int) -> Bytes:
        """A copy of the rows of a layer."""
        first = address + self.first_row[index] * width
        return dram[first : first + self._layers[index].weight_rows * width].copy()

    def _as_weights(self, layer: Lowered, rows: NDArray) -> NDArray:
        """Weights (m, c, r, s) of rows of tiles; those of kernels of a whole map as a vector's."""
        conv, lanes = layer.conv, self._lanes
        tiles = rows.reshape(conv.m_tiles, conv.c_tiles, *conv.kernel, lanes, lanes)
        w = tiles.transpose(0, 4, 1, 5, 2, 3)
        w = w.reshape(conv.m_tiles * lanes, conv.c_tiles * lanes, *conv.kernel)
        w = w[: layer.layer.m_size, : layer.c_size]
        if layer.layer.fully_connected:
            w = w.transpose(0, 2, 3, 1).reshape(layer.layer.m_size, -1, 1, 1)
        return np.ascontiguousarray(w)

    def _as_kernels(self, layer: Lowered, w: NDArray) -> NDArray:
        """The inverse, but for the tiles."""
        if not layer.layer.fully_connected:
            return w
        kernels = w.reshape(layer.layer.m_size, *layer.conv.kernel, layer.c_size)
        return kernels.transpose(0, 3, 1, 2)


def _untiled(tiles: NDArray, channels: int) -> NDArray:
    """(..., tile, y, x, lane) as (..., y, x, channel)."""
    maps = np.moveaxis(tiles, -4, -2)
    return maps.reshape(*maps.shape[:-2], -1)[..., :channels]
