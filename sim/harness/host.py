"""What a cocotb testbench reads and writes registers with."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import FallingEdge

from backspike.hw.core.axi_lite import WORD_STROBE

__all__ = ["Host"]


class Host:
    """The master of an AXI4-Lite port ``host`` of a bench.

    Parameters
    ----------
    dut
        cocotb's handle of the bench, which has a clock ``clk``.
    """

    def __init__(self, dut: Any):
        self._dut = dut

    def idle(self) -> None:
        """Asks for nothing."""
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            getattr(self._dut, f"host__{name}").value = 0

    async def write(self, address: int, value: int) -> None:
        """Writes a register.

        Raises
        ------
        RuntimeError
            If that is refused.
        """
        dut = self._dut
        dut.host__awaddr.value, dut.host__wdata.value = address, value
        dut.host__wstrb.value = WORD_STROBE
        dut.host__awvalid.value = dut.host__wvalid.value = dut.host__bready.value = 1
        while True:
            await FallingEdge(dut.clk)
            # Both channels are idle in front of a write, so they take it in its first cycle.
            dut.host__awvalid.value = dut.host__wvalid.value = 0
            if int(dut.host__bvalid.value):
                break
        if int(dut.host__bresp.value):
            raise RuntimeError(f"the chip refuses to write {address:#x}")
        await FallingEdge(dut.clk)
        dut.host__bready.value = 0

    async def read(self, address: int) -> int:
        """Reads a register; raises as :meth:`write`."""
        dut = self._dut
        dut.host__araddr.value = address
        dut.host__arvalid.value = dut.host__rready.value = 1
        while True:
            await FallingEdge(dut.clk)
            dut.host__arvalid.value = 0
            if int(dut.host__rvalid.value):
                break
        value, wrong = int(dut.host__rdata.value), int(dut.host__rresp.value)
        await FallingEdge(dut.clk)
        dut.host__rready.value = 0
        if wrong:
            raise RuntimeError(f"the chip refuses to read {address:#x}")
        return value
