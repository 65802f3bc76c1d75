"""What the benches of FP and BP share: the psums in front of a command, and those behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from backspike.compiler.lowering.layout import Layout
from backspike.sim.harness.driver import EngineDriver
from backspike.sim.model import Status

__all__ = ["check_counts", "check_psums", "from_row"]


def from_row(there: Layout | None, row: int) -> Layout | None:
    """The layout of a map without the rows before ``row``."""
    return there and replace(there, base=there.base + row * there.row)


async def check_psums(
    driver: EngineDriver,
    commands: Iterable[Mapping[str, Any]],
    where: str,
    *,
    old: np.ndarray,
    expected: np.ndarray,
    compared: np.ndarray,
    base: int,
    guard: np.ndarray,
    status: Status,
) -> Counter:
    """Runs commands, and compares psums and statuses; what the counters say, summed up.

    Parameters
    ----------
    old, expected : (two axes, tile, y, x, lane)
        Words of the psums in front and behind; only those that are ``compared`` matter.
    base : int
        Where they lie.
    guard : (word, lane)
        What the whole memory holds in front, and elsewhere behind.
    """
    lanes, here = guard.shape[1], slice(base, base + old[..., 0].size)
    driver.load("conv", guard)
    driver.load("conv", old.reshape(-1, lanes), base)
    statuses: Counter = Counter()
    counters: Counter = Counter()
    for command in commands:
        await driver.run(command)
        statuses.update(driver.statuses)
        counters.update(driver.counters())
    memory = driver.fetch("conv", 0, len(guard), np.int64).reshape(-1, lanes)
    got = memory[here].reshape(expected.shape)
    wrong = np.argwhere((got != expected) & compared)
    assert not len(wrong), (
        f"{where}: {len(wrong)} of {expected.size} differ, first at {wrong[0]}: "
        f"{got[tuple(wrong[0])]} for {expected[tuple(wrong[0])]}"
    )
    for name in ("overflow", "invalid"):
        assert bool(statuses[name]) == getattr(status, name), f"{where}: {name}"
    memory[here] = guard[here]
    assert (memory == guard).all(), f"{where}: wrote outside its psums"
    return counters


def check_counts(counters: Mapping[str, int], expected: Mapping[str, int], where: str) -> None:
    """Compares what the counters say with what the data asks for."""
    for name, due in expected.items():
        assert counters[name] == due, f"{where}: {name} {counters[name]}, not {due}"
