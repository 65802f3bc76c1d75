"""Soma, Grad and the vector operations: what their commands do to the SRAMs of a core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backspike.hw.config import ChipConfig
from backspike.hw.isa.neuron.command import LEVELS, Destination, Operation, Source
from backspike.hw.isa.neuron.kinds import GRAD, SOMA, ElementKind
from backspike.hw.isa.units import UNIT_TABLE
from backspike.sim.model.machine.memories import Memories, low_bits
from backspike.sim.model.machine.walk import grouped, loop, nested, read_values, wrapped
from backspike.sim.model.neuron import (
    add,
    compare,
    grad,
    multiply,
    pool_spikes,
    soma,
    subtract,
    unpool,
)
from backspike.sim.model.number import (
    Bits,
    Integers,
    Status,
    Values,
    decode,
    encode,
    read_psum,
    to_psum,
)

__all__ = ["run_grad", "run_soma"]

Fields = Mapping[str, Any]
OPERATIONS = {
    Operation.ADD: add,
    Operation.SUBTRACT: subtract,
    Operation.MULTIPLY: multiply,
}


def run_soma(command: Fields, memories: Memories, config: ChipConfig, status: Status) -> None:
    """A time step of Soma, or a vector operation of the FP sub-core."""
    walk = _Pass(SOMA, "fp", command, memories, config, status)
    if walk.operation is not Operation.STEP:
        walk.vector()
        return
    t_acc = bool(walk.settings.get("t_acc", 0))
    made = soma(
        walk.psums(),
        walk.values("u") if t_acc else None,
        walk.bits("spike") if t_acc else None,
        alpha=walk.number("alpha"),
        th_f=walk.number("th_f"),
        status=status,
        t_acc=t_acc,
        format=config.format,
    )
    walk.write_values("write", "u", made.u)
    walk.write_bits("spike", made.s)
    if walk.windows:
        walk.write_bits("s_out", pool_spikes(made.s, walk.pooling), by_window=True)


def run_grad(command: Fields, memories: Memories, config: ChipConfig, status: Status) -> None:
    """A time step of Grad, or a vector operation of the BP sub-core."""
    walk = _Pass(GRAD, "bp", command, memories, config, status)
    if walk.operation is not Operation.STEP:
        walk.vector()
        return
    t_acc = bool(walk.settings.get("t_acc", 0))
    u, th_f = walk.values("u"), walk.number("th_f")
    du = grad(
        _conv_of_pixels(walk, u >= th_f),
        walk.values("du") if t_acc else None,
        u,
        alpha=walk.number("alpha"),
        th_f=th_f,
        th_l=walk.number("th_l"),
        th_r=walk.number("th_r"),
        status=status,
        t_acc=t_acc,
        format=config.format,
    )
    walk.write_values("write", "du", du)


def _conv_of_pixels(walk: _Pass, s: Bits) -> Values:
    """Each window's gradient at its first pixel with a spike, if its pooled spike is set.

    Else at its first pixel, with a spike or not. Where the pooled spike is set and no pixel has
    one, which no forward pass makes, the hardware drops the gradient.
    """
    p = walk.pooling
    if p == 1:
        return walk.psums()
    if not walk.windows:
        return np.zeros(s.shape)
    conv, pooled = walk.psums(by_window=True), walk.bits("s", by_window=True)
    rows, columns = pooled.shape[1] * p, pooled.shape[2] * p
    candidates = np.zeros_like(s)
    candidates[:, :rows, :columns] = pooled.repeat(p, axis=1).repeat(p, axis=2)
    candidates &= s
    lost = pooled & ~pool_spikes(s, p)
    return unpool(np.where(lost, 0.0, conv), candidates, p)


class _Pass:
    """A pass of either engine over maps (n, y, x, channel), without channels beyond the last."""

    def __init__(
        self,
        kind: ElementKind,
        subcore: str,
        command: Fields,
        memories: Memories,
        config: ChipConfig,
        status: Status,
    ):
        self._kind = kind
        self._command = command
        self._memories = memories
        self._config = config
        self._status = status
        # The SRAM of each memory, after which fields of the command are named.
        ports = UNIT_TABLE[subcore][kind.name].ports
        self._srams = {port.rpartition("_")[0]: sram for port, sram in ports.items()}
        self._grid = dict(zip(("bits", "lsb"), kind.psum_grid(config.format), strict=True))
        extent = command["extent"]
        self.settings = command.get("settings", {})
        self.operation = Operation(self.settings.get("operation", 0))
        self.pooling = p = extent["pooling"]
        self._samples, self._tiles = extent["samples"], extent["tiles"]
        lanes = config.array.lanes
        self._channels = (self._tiles - 1) * lanes + min(extent["last_lanes"], lanes)
        # Windows, pixels in one, and pixels in the last one.
        self._rows = extent["window_rows"], p, extent["last_rows"]
        self._columns = extent["window_columns"], p, extent["last_columns"]
        rows, columns = (count * p + last - p for count, p, last in (self._rows, self._columns))
        self._size = rows, columns
        self._whole = rows // p, columns // p

    @property
    def windows(self) -> bool:
        """Whether some window lies in the map entirely."""
        return min(self._whole) > 0

    def number(self, name: str) -> float:
        """A scalar of the settings, of which a narrow format has the low bits."""
        format = self._config.format
        return float(decode(self.settings.get(name, 0) & ((1 << format.width) - 1), format))

    def psums(self, *, by_window: bool = False) -> Values:
        """The psums, rounded."""
        psum = self._memories.words(self._srams["conv"])[self._words("conv_read", by_window)]
        return read_psum(
            low_bits(self._used(psum), self._grid["bits"]),
            **self._grid,
            scale=0 if self._kind.products else self.settings.get("scale", 0),
            status=self._status,
            format=self._config.format,
        )

    def values(self, memory: str) -> Values:
        """The values that the command reads from a memory."""
        sram, word = self._srams[memory], self._words(f"{memory}_read")
        return self._used(read_values(self._memories, sram, word))

    def bits(self, memory: str, *, by_window: bool = False) -> Bits:
        """The spikes that the command reads from a memory."""
        word, pixel = self._pixels(f"{memory}_read", by_window)
        return self._used(self._memories.read_bits(self._srams[memory], word, pixel)) != 0

    def write_values(self, field: str, memory: str, values: Values) -> None:
        """Writes values, and +0 to channels beyond the last."""
        codes = encode(self._with_unused(values), self._config.format)
        self._memories.words(self._srams[memory])[self._words(field)] = codes

    def write_bits(self, memory: str, bits: Bits, *, by_window: bool = False) -> None:
        """Writes spikes, and 0 to channels beyond the last."""
        word, pixel = self._pixels(f"{memory}_write", by_window)
        self._memories.write_bits(self._srams[memory], word, pixel, self._with_unused(bits))

    def vector(self) -> None:
        """Runs a vector operation."""
        x = self._operand("x")
        if self.operation is Operation.COMPARE:
            low, high = self.number("th_l"), self.number("th_r")
            self.write_bits(self._kind.bit_operand.memory, compare(x, low, high))
            return
        run, format = OPERATIONS[self.operation], self._config.format
        result = run(x, self._operand("y"), status=self._status, format=format)
        if Destination(self.settings.get("destination", 0)) is Destination.CONV:
            psums = to_psum(self._with_unused(result), **self._grid)
            self._memories.words(self._srams["conv"])[self._words("write")] = psums
        else:
            self.write_values("write", self._kind.map_memory, result)

    def _operand(self, name: str) -> Values:
        source = Source(self.settings.get(name, 0))
        if source is Source.CONV:
            return self.psums()
        if source is Source.BITS:
            return self.bits(self._kind.bit_operand.memory).astype(np.float64)
        if source is Source.SCALAR:
            return np.full((self._samples, *self._size, self._channels), self.number("scalar"))
        return self.values(source.name.lower())

    def _words(self, field: str, by_window: bool = False) -> Integers:
        """Words (n, y, x, tile) of a map with a pixel to a word."""
        return wrapped(self._affine(self._command.get(field, {}), by_window))

    def _pixels(self, field: str, by_window: bool) -> tuple[Integers, Integers]:
        """Words, and the pixels in them, of a bit map."""
        place, pixels = self._command.get(field, {}), self._config.array.spike_pixels
        column = wrapped(self._affine(place.get("column", {}), by_window))
        row = self._affine(place.get("row", {}), by_window)
        return wrapped(row + column // pixels), column % pixels

    def _affine(self, address: Fields, by_window: bool) -> Integers:
        """An Address or coordinate at every pixel, or every whole window (n, y, x, tile).

        What is read or written by window does not move inside of it.
        """
        stride = dict.fromkeys(LEVELS, 0)
        stride.update(zip(LEVELS, address.get("stride", ()), strict=False))
        if by_window:
            rows = loop(self._whole[0], stride["window_row"])
            columns = loop(self._whole[1], stride["window_column"])
        else:
            rows = grouped(*self._rows, stride["window_row"], stride["row"])
            columns = grouped(*self._columns, stride["window_column"], stride["column"])
        return address.get("base", 0) + nested(
            loop(self._samples, stride["sample"]), rows, columns, loop(self._tiles, stride["tile"])
        )

    def _used(self, lanes: Any) -> Any:
        """Words (n, y, x, tile, lane) as a map without channels beyond the last."""
        return lanes.reshape(*lanes.shape[:3], -1)[..., : self._channels]

    def _with_unused(self, channels: Any) -> Any:
        """The inverse; channels beyond the last are 0."""
        lanes = self._config.array.lanes
        missing = self._tiles * lanes - self._channels
        full = np.pad(channels, [(0, 0)] * 3 + [(0, missing)])
        return full.reshape(*channels.shape[:3], self._tiles, lanes)
