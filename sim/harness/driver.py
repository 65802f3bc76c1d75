"""What a cocotb testbench drives an :class:`backspike.sim.harness.bench.EngineBench` with."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from numpy.typing import DTypeLike

from backspike.hw.component import EmitOnce

__all__ = ["EngineDriver", "backdoor"]

PERIOD_NS = 2
_library = ctypes.CDLL(None)


def backdoor(scope: str, depth: int, width: int) -> np.ndarray:
    """The words of a Verilated Sram, as bytes (words x bytes); writing to it changes it at once.

    A word has its bits rounded up to 1, 2, 4, or a multiple of 8, 4 bytes as Verilator lays it out.

    Raises
    ------
    LookupError
        If the simulation has no such memory.
    """
    _library.backspike_memory.restype = ctypes.c_void_p
    address = _library.backspike_memory(scope.encode(), b"words")
    if not address:
        raise LookupError(f"the simulation has no memory {scope}.words")
    size = next((n for n in (1, 2, 4, 8) if width <= 8 * n), 4 * -(-width // 32))
    raw = (ctypes.c_uint8 * (depth * size)).from_address(address)
    return np.ctypeslib.as_array(raw).reshape(-1, size)


class EngineDriver:
    """Fills the memories of a bench, starts its engine, waits for it, and reads what came of it.

    Python runs only at the start and the end of a command: the clock is in the simulator.

    Parameters
    ----------
    dut
        cocotb's handle of the bench.
    engine : EmitOnce
        The engine that the bench was made from: for the layouts of its ports.
    depths : dict of str to int
        Words of each memory, as given to the bench.
    """

    def __init__(self, dut: Any, engine: EmitOnce, depths: Mapping[str, int]):
        self._dut = dut
        self._depths = depths
        self._members = engine.signature.members
        self._words: dict[str, np.ndarray] = {}

    def _width(self, memory: str) -> int:
        for port in (f"{memory}_read", f"{memory}_write"):
            if port in self._members:
                return self._members[port].signature.members["data"].shape
        raise KeyError(memory)

    def words(self, memory: str) -> np.ndarray:
        """The memory itself, as bytes (words x bytes a word); writing to it changes it at once."""
        if memory not in self._words:
            scope = f"{self._dut._name}.sram_{memory}"
            self._words[memory] = backdoor(scope, self._depths[memory], self._width(memory))
        return self._words[memory]

    def load(self, memory: str, words: np.ndarray, first: int = 0) -> None:
        """Writes ``words`` (words x elements, little-endian, a row each) from word ``first``."""
        words = np.ascontiguousarray(words)
        raw = words.view(np.uint8).reshape(len(words), -1)
        self.words(memory)[first : first + len(raw), : raw.shape[1]] = raw

    def fetch(self, memory: str, first: int, count: int, dtype: DTypeLike) -> np.ndarray:
        """Copies ``count`` words from word ``first`` on, as elements of ``dtype``."""
        width = self._width(memory)
        raw = np.ascontiguousarray(self.words(memory)[first : first + count, : -(-width // 8)])
        return raw.view(dtype)

    async def reset(self, stall: int = 0) -> None:
        """Starts the clock, resets the bench and sets the probability of stalls (of 256)."""
        dut = self._dut
        for name, member in self._members.items():
            if hasattr(dut, name) and member.flow.name == "In":
                getattr(dut, name).value = 0
        dut.stall.value = stall
        dut.rst.value = 1
        Clock(dut.clk, PERIOD_NS, unit="ns", impl="gpi").start()
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)

    async def run(self, fields: Mapping[str, object], *, limit: int = 10_000_000) -> int:
        """Runs one command to its end.

        Parameters
        ----------
        fields : dict
            Values of the command's fields.
        limit : int
            Cycles after which the engine is taken to hang.

        Returns
        -------
        int
            Cycles from the one with ``start`` to the one with ``done``, both included.
        """
        dut = self._dut
        layout = data.Layout.cast(self._members["command"].shape)
        dut.command.value = layout.const(fields).as_value().value
        await FallingEdge(dut.clk)
        dut.clear_counters.value = 1
        await FallingEdge(dut.clk)
        dut.clear_counters.value = 0
        dut.start.value = 1
        begin = cocotb.simtime.get_sim_time("ns")
        self._statuses = dict.fromkeys(("overflow", "invalid"), False)
        watchers = [cocotb.start_soon(self._watch(name)) for name in self._statuses]
        await FallingEdge(dut.clk)
        dut.start.value = 0
        if not int(dut.done.value):
            await First(RisingEdge(dut.done), Timer(limit * PERIOD_NS, unit="ns"))
        # From the middle of the cycle with start to the beginning of that with done.
        cycles = math.ceil((cocotb.simtime.get_sim_time("ns") - begin) / PERIOD_NS) + 1
        if not int(dut.done.value):
            raise TimeoutError(f"the engine is not done after {limit} cycles")
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        for watcher in watchers:
            watcher.cancel()
        return cycles

    async def _watch(self, name: str) -> None:
        signal = getattr(self._dut, name)
        while not int(signal.value):
            await RisingEdge(signal)
        self._statuses[name] = True

    @property
    def statuses(self) -> dict[str, bool]:
        """Whether ``overflow`` and ``invalid`` were raised by the last command."""
        return dict(self._statuses)

    def counters(self) -> dict[str, int]:
        """The engine's counters since the last start."""
        layout = data.Layout.cast(self._members["counters"].shape)
        values = layout.from_bits(int(self._dut.counters.value))
        return {name: values[name] for name, _ in layout}
