"""The copy engine against numpy: the whole of every memory, counters, and cycles."""

from __future__ import annotations

import itertools

import cocotb
import numpy as np

from backspike.sim.harness.driver import EngineDriver
from tests.hw.launch import bench_settings
from tests.hw.noc.settings import WORDS

OVERHEAD = 4
"""Cycles of a copy without stalls beyond one a word, those of ``start`` and ``done`` included."""
STALLS = (0, 40, 150, 230)
LARGEST = 600
"""Words of the largest copy."""
SHAPES = ((1, 1), (1, 2), (2, 1), (3, 7), (40, 13), (1, 300), (LARGEST, 1))
"""Words and rows that are always tried, beside random ones."""
RANDOM_SHAPES = 20


def row_step(random, words: int, rows: int) -> int:
    """From one row to the next: apart, without gap, overlapping, the same row again, or back."""
    room = (WORDS - words) // max(1, rows - 1)
    kind = random.integers(5)
    if kind < 2:
        return int(random.integers(room + 1))
    step = min(room, (words, words // 2, 0)[kind - 2])
    return int(step if random.integers(2) else -step)


def addresses(random, words: int, rows: int) -> tuple[int, int, np.ndarray]:
    """First word and step of rows that lie in the memory, and all their words in order."""
    step = row_step(random, words, rows)
    low, high = sorted((0, step * (rows - 1)))
    first = int(random.integers(-low, WORDS - words - high + 1))
    rows_at = first + step * np.arange(rows)
    return first, step, (rows_at[:, None] + np.arange(words)).ravel()


@cocotb.test()
async def copy_equals_numpy(dut):
    settings = bench_settings()
    random = np.random.default_rng(settings.seed)
    driver = EngineDriver(dut, settings.engine(), settings.depths)
    await driver.reset()
    ports = {f"{each.source}_read" for each in settings.routes}
    ports |= {f"{each.destination}_write" for each in settings.routes}
    contents = {}
    for memory, width in settings.widths.items():
        contents[memory] = random.integers(256, size=(WORDS, width // 8), dtype=np.uint8)
        driver.load(memory, contents[memory])
    sizes = list(SHAPES)
    for _ in range(RANDOM_SHAPES):
        words = int(random.integers(1, 61))
        sizes.append((words, int(random.integers(1, LARGEST // words + 1))))
    cases = itertools.product(STALLS, range(len(settings.routes)), sizes)
    for stall, route, (words, rows) in cases:
        source, destination, *_ = settings.routes[route]
        first, step, read = addresses(random, words, rows)
        to, to_step, written = addresses(random, words, rows)
        what = f"{route=} {words=} {rows=} {first=} {step=} {to=} {to_step=} {stall=}"
        for here, there in zip(read, written, strict=True):
            contents[destination][there] = contents[source][here]
        dut.stall.value = stall
        cycles = await driver.run(
            {
                "route": route,
                "source": first,
                "destination": to,
                "words": words,
                "rows": rows,
                "source_row": step % 2**16,
                "destination_row": to_step % 2**16,
            },
            limit=200_000,
        )
        for memory, expected in contents.items():
            found = driver.fetch(memory, 0, WORDS, np.uint8)
            wrong = np.flatnonzero((found != expected).any(axis=1))
            assert not len(wrong), f"{what}: {len(wrong)} wrong in {memory}, first at {wrong[0]}"
        assert not any(driver.statuses.values()), what
        counters = driver.counters()
        for port in ports:
            used = port in (f"{source}_read", f"{destination}_write")
            assert counters[f"{port}s"] == words * rows * used, f"{what}: {counters}"
        assert counters["busy"] == words * rows, f"{what}: {counters}"
        assert counters["busy"] + counters["stalled"] == cycles - 1, f"{what}: {cycles} {counters}"
        if not stall:
            assert cycles == words * rows + OVERHEAD, f"{what}: {cycles} cycles"
