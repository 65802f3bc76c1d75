"""The testbench of a session: runs what it is asked for until nobody asks any more."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from multiprocessing.connection import Connection
from typing import Any

import cocotb

from backspike.sim.harness.mesh_driver import MeshDriver
from backspike.sim.harness.session import SOCKET, Request, Run


@cocotb.test()
async def session(dut: Any) -> None:
    """Serves the requests that come by the socket."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.environ[SOCKET])
    with Connection(client.detach()) as connection:
        kind, setting = connection.recv()
        driver = MeshDriver(dut, kind(**setting))
        while True:
            try:
                request = connection.recv()
            except EOFError:
                return
            connection.send(await _run(driver, request))


async def _run(driver: MeshDriver, request: Request) -> Run:
    drams = {place: driver.drams[place][: len(dram)] for place, dram in request.drams.items()}

    async def begin() -> None:
        await driver.reset(
            latency=request.latency,
            spread=request.spread,
            stall=request.stall,
            seed=request.seed,
            delay=request.delay,
            delay_stall=request.delay_stall,
            noc_period_ps=request.noc_period_ps,
        )
        for place, dram in request.drams.items():
            drams[place][:] = dram
        await driver.connect(request.connections)

    await begin()
    if request.interrupted:
        with contextlib.suppress(TimeoutError):
            await driver.run(request.programs, limit=request.interrupted)
            raise RuntimeError(f"programs ended within {request.interrupted} cycles")
        await begin()
    began = time.perf_counter()
    outcomes, cycles = await driver.run(request.programs, timeout=request.timeout)
    seconds = time.perf_counter() - began
    return Run(
        drams={place: dram.copy() for place, dram in drams.items()},
        outcomes=outcomes,
        cycles=cycles,
        seconds=seconds,
        counters={place: await driver.registers[place].counters() for place in request.programs},
        activity=driver.activity(),
    )
