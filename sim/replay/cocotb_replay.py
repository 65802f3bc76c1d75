"""The testbench of a replay: runs the jobs of one stage and counts the values that differ."""

from __future__ import annotations

import json
import os
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from sim.harness.driver import EngineDriver
from sim.replay.stages import STAGES


@cocotb.test()
async def replay(dut: Any) -> None:
    with open(os.environ["REPLAY_TASK"], "rb") as file:
        name, scene, out = pickle.load(file)
    stage = STAGES[name]
    driver = EngineDriver(dut, stage.engine.from_config(scene.config), stage.depths(scene.config))
    await driver.reset()
    layers: dict[int, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(("compared", "differ", "cycles", "dense_cycles"), 0)
    )
    statuses = dict.fromkeys(("overflow", "invalid"), False)
    for job in stage.jobs(scene):
        counts = layers[job.layer]
        for commands, cycles in ((job.dense, "dense_cycles"), (job.commands, "cycles")):
            if not commands:
                continue
            for memory, first, words in job.guard:
                driver.load(memory, words, first)
            for memory, first, words in job.loads:
                driver.load(memory, words, first)
            for command in commands:
                counts[cycles] += await driver.run(command)
                for status, was_set in driver.statuses.items():
                    statuses[status] |= was_set
            for memory, first, words in job.expected:
                got = driver.fetch(memory, first, len(words), words.dtype)
                counts["compared"] += words.size
                # As bits: a NaN equals itself, +0 and -0 differ.
                same = got.reshape(words.shape).view(np.uint8) == np.ascontiguousarray(words).view(
                    np.uint8
                )
                size = words.dtype.itemsize
                counts["differ"] += int((~same.reshape(-1, size).all(axis=1)).sum())
    Path(out).write_text(json.dumps({"layers": layers, "statuses": statuses}))
