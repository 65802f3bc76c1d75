"""The registers of a chip as its host sees them, in front of those of its cores."""

from __future__ import annotations

from backspike.hw.core.axi_lite import HOST_ADDRESS_BITS
from backspike.hw.core.map import HostRegister

__all__ = ["ALL", "CHIP_IDENTITY", "CHIP_REGISTERS", "MASK_WORDS", "core_window", "masked"]

CHIP_IDENTITY = 0x43505342
"""What the first register reads as: "BSPC" in its bytes, the first one lowest."""
ALL = 1
"""Number of the window whose writes go to all cores that are selected."""
MASK_WORDS = 8
"""Registers of a bit for each core: a mesh has 256 at most."""

CHIP_REGISTERS = (
    HostRegister("identity", 0x00, "r", f"{CHIP_IDENTITY:#x}"),
    HostRegister("size", 0x04, "r", "bits 0-7, 8-15: columns and rows of cores of this chip"),
    HostRegister(
        "interrupt", 0x08, "r1", "bit 0: all programs have ended; 1: one was stopped by a fault"
    ),
    HostRegister("enable", 0x0C, "rw", "bits of ``interrupt`` that raise the interrupt"),
    HostRegister("select", 0x40, "rw", "a bit for each core, 32 of them in each of 8 registers"),
    HostRegister("running", 0x80, "r", "likewise: its programs have not ended yet"),
    HostRegister("stopped", 0xC0, "r", "likewise: a fault has stopped one of its programs"),
)


def core_window(number: int) -> int:
    """Address of the first register of a core; they count from west to east, north to south."""
    return number + ALL + 1 << HOST_ADDRESS_BITS


def masked(name: str) -> bool:
    """Whether a register of the chip is one of several, with a bit for each core."""
    return name in ("select", "running", "stopped")
