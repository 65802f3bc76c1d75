"""The testbench of a core session: runs what it is asked for until nobody asks any more."""

from __future__ import annotations

import os
import socket
import time
from multiprocessing.connection import Connection
from typing import Any

import cocotb

from sim.harness.core import CoreBench, CoreDriver
from sim.harness.session import SOCKET, CoreRequest, CoreRun


@cocotb.test()
async def session(dut: Any) -> None:
    """Serves the requests that come by the socket."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.environ[SOCKET])
    with Connection(client.detach()) as connection:
        driver = CoreDriver(dut, CoreBench(**connection.recv()))
        while True:
            try:
                request: CoreRequest = connection.recv()
            except EOFError:
                return
            size = len(request.dram)
            await driver.reset(latency=request.latency, stall=request.stall)
            driver.dram[:size] = request.dram
            began = time.perf_counter()
            outcomes, cycles = await driver.run(request.programs, timeout=request.timeout)
            seconds = time.perf_counter() - began
            connection.send(
                CoreRun(
                    dram=driver.dram[:size].copy(),
                    outcomes=outcomes,
                    cycles=cycles,
                    seconds=seconds,
                    counters=await driver.counters(),
                    activity=driver.activity(),
                )
            )
