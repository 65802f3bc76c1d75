"""A network under rising load: what it takes, and how long that is under way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb

from backspike.sim.harness.traffic.bench import Load, TrafficBench, TrafficDriver
from backspike.sim.harness.traffic.packet import Pattern
from scripts.bench.rtl.work import RESULT

SETTINGS = "BENCH_NETWORK"
"""Environment variable with the parameters of the bench, loads, and cycles."""
WRONG = ("misrouted", "out_of_order", "corrupted", "of_wrong_length")


@cocotb.test()
async def sweep(dut: Any) -> None:
    settings = json.loads(os.environ[SETTINGS])
    bench = TrafficBench(**settings["bench"])
    driver = TrafficDriver(dut, bench)
    await driver.start()
    rows = []
    before = await driver.results()
    for fields in settings["loads"]:
        load = Load(**{**fields, "pattern": Pattern[fields["pattern"]]})
        await driver.load(load)
        await driver.wait(settings["warm_up"])
        await driver.count(settings["cycles"])
        await driver.drain()
        after = await driver.results()
        assert not any(results[name] for results in after.values() for name in WRONG)

        def of_all(name: str, before: Any = before, after: Any = after) -> int:
            return sum(after[place][name] - before[place][name] for place in after)

        cores = bench.columns * bench.rows
        packets = of_all("counted_packets")
        rows.append(
            {
                **fields,
                "offered": load.rate * len(after) / cores,
                "accepted": of_all("counted_flits") / settings["cycles"] / cores,
                "latency": of_all("latency") / packets,
                "least_latency": [(place, after[place]["least_latency"]) for place in after],
            }
        )
        before = after
    Path(os.environ[RESULT]).write_text(json.dumps(rows), encoding="utf-8")
