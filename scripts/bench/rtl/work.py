"""What the benches of the three engines share: the layers they run, and how a run is measured."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backspike.compiler.lowering.convolution import ConvLayer
from backspike.hw.component import EmitOnce
from backspike.hw.config import ChipConfig
from backspike.hw.presets import PRESETS
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import round_values

__all__ = [
    "CHANNELS",
    "CONFIG",
    "CONV",
    "FC",
    "FC_CHANNELS",
    "RESULT",
    "SEED",
    "differing_bits",
    "measure",
    "sparse_spikes",
    "values",
    "write_results",
]

CONFIG: ChipConfig = PRESETS["paper"]
"""The hardware that is measured."""
SEED = 0
CHANNELS = 64
"""Inputs and outputs of :data:`CONV`."""
FC_CHANNELS = 512
"""Inputs and outputs of :data:`FC`."""
SPEED_RUNS = 3
"""A run whose speed is wanted is repeated, and the fastest counts: others may use the machine."""
RESULT = "BENCH_RESULT"
"""Environment variable with the name of the file that a bench writes its measurements to."""

_LANES = CONFIG.array.lanes
CONV = ConvLayer(
    h=32,
    w=32,
    kernel=(3, 3),
    padding=(1, 1, 1, 1),
    c_tiles=CHANNELS // _LANES,
    m_tiles=CHANNELS // _LANES,
)
"""3x3, 64 -> 64 channels, 32x32 pixels, one step."""
FC = ConvLayer(h=1, w=32, c_tiles=FC_CHANNELS // _LANES, m_tiles=FC_CHANNELS // _LANES)
"""Fully connected, 512 -> 512: four steps of eight samples are the columns of a map of one row."""


def values(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> NDArray:
    """Normally distributed numbers of the storage format, none of them zero."""
    numbers = round_values(random.normal(0, scale, shape), CONFIG.format)
    return np.where(numbers == 0, scale, numbers)


def sparse_spikes(random: np.random.Generator, layer: ConvLayer, percent: int) -> NDArray:
    """A map (sample, step, y, x, channel) of independent spikes, ``percent`` of them missing."""
    channels = layer.c_tiles * _LANES
    shape = (layer.samples, layer.steps, layer.h, layer.w, channels)
    return random.random(shape) >= percent / 100


async def measure(
    driver: EngineDriver, commands: Iterable[Mapping[str, object]], *, speed: bool = False
) -> dict[str, object]:
    """Runs commands one after the other: cycles from start to done, counters and speed.

    ``hertz`` is cycles per second that this process, in which the simulator is, was at work: wall
    time of a machine that does nothing else.
    """
    cycles, seconds, counters = 0, 0.0, dict[str, int]()
    for command in commands:
        fastest = float("inf")
        for _ in range(SPEED_RUNS if speed else 1):
            began = time.process_time()
            count = await driver.run(command)
            fastest = min(fastest, time.process_time() - began)
        cycles += count
        seconds += fastest
        for name, value in driver.counters().items():
            counters[name] = counters.get(name, 0) + value
    return {"cycles": cycles, "hertz": cycles / seconds, "counters": counters}


def differing_bits(got: NDArray, want: NDArray) -> dict[str, int]:
    """How many bits of two arrays of integers were compared, and how many differ."""
    wanted = np.ascontiguousarray(want.astype(got.dtype)).view(np.uint8)
    difference = np.ascontiguousarray(got).view(np.uint8) ^ wanted
    return {"bits": 8 * difference.size, "bits_differ": int(np.bitwise_count(difference).sum())}


def write_results(engine: EmitOnce, runs: Mapping[str, dict[str, object]]) -> None:
    """Hands the measurements, by name of the run, to the process that started the simulation."""
    path = Path(os.environ[RESULT])
    path.write_text(json.dumps({"engine": type(engine).__name__, "runs": runs}), encoding="utf-8")
