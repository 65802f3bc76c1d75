"""All that sources send arrives: whole, in order, once, and where it has to."""

from __future__ import annotations

import cocotb

from backspike.sim.harness.traffic.bench import Load, TrafficBench, TrafficDriver
from backspike.sim.harness.traffic.packet import InjectedFault, Pattern
from tests.hw.launch import bench_settings

LOADS = [
    {"rate": 0.1},
    {"rate": 1.0, "least": 1, "spread": 7},
    {"rate": 0.3, "least": 1, "spread": 3, "idle": 100, "stall": 60},
    {"rate": 0.5, "least": 2, "spread": 15, "stall": 180},
]
"""From hardly any flits to more than can go, with and without pauses at either end."""
WRONG = ("misrouted", "out_of_order", "corrupted", "of_wrong_length")
"""Results that must not be."""


@cocotb.test()
async def nothing_is_lost(dut):
    settings = bench_settings()
    driver = TrafficDriver(dut, TrafficBench(**settings["bench"]), settings["periods"])
    await driver.start()
    for pattern in Pattern:
        for load in LOADS:
            await driver.load(Load(pattern=pattern, **load))
            await driver.wait(settings["cycles"])
            await driver.drain()
            found = await driver.results()
            what = f"{pattern.name} {load}"
            for place, results in found.items():
                wrong = [name for name in WRONG if results[name]]
                assert not wrong, f"{what}: at {place} {wrong}"
            for name in ("packets", "flits"):
                sent = sum(results[f"sent_{name}"] for results in found.values())
                came = sum(results[name] for results in found.values())
                assert came == sent, f"{what}: {sent} {name} sent, {came} arrived"
    flits = sum(results["flits"] for results in found.values())
    print(f"{flits} flits")
    assert flits >= settings["flits"], f"only {flits} flits"


@cocotb.test()
async def what_goes_wrong_is_found(dut):
    settings = bench_settings()
    driver = TrafficDriver(dut, TrafficBench(**settings["bench"]), settings["periods"])
    await driver.start()
    fault, expected = InjectedFault[settings["fault"]], settings["expected"]
    await driver.load(Load(pattern=Pattern.UNIFORM, rate=0.2, spread=settings["spread"]))
    await driver.wait(1000)
    assert not any(results[name] for results in (await driver.results()).values() for name in WRONG)
    await driver.fault(fault, 100)
    await driver.wait(1000)
    await driver.drain()
    found = await driver.results()
    assert all(results[expected] for results in found.values())
