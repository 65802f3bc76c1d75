"""The registers of a chip as its host sees them, in front of those of its cores."""

from __future__ import annotations

from backspike.hw.core.axi_lite import HOST_ADDRESS_BITS
from backspike.hw.core.map import Field, HostRegister

__all__ = ["ALL", "CHIP_BY_NAME", "CHIP_IDENTITY", "CHIP_REGISTERS", "core_window"]

CHIP_IDENTITY = 0x43505342
"""What the first register reads as: "BSPC" in its bytes, the first one lowest."""
ALL = 1
"""Number of the window whose writes go to all cores that are selected."""
CHIP_REGISTERS = (
    HostRegister("identity", 0x00, "r", f"{CHIP_IDENTITY:#x}"),
    HostRegister(
        "size",
        0x04,
        "r",
        fields=(
            Field("columns", 0, 8, "columns of cores of this chip"),
            Field("rows", 8, 8, "rows of them"),
        ),
    ),
    HostRegister(
        "interrupt",
        0x08,
        "r1",
        fields=(
            Field("ended", 0, 1, "all programs have ended"),
            Field("stopped", 1, 1, "one was stopped by a fault"),
        ),
    ),
    HostRegister("enable", 0x0C, "rw", "bits of ``interrupt`` that raise the interrupt"),
    HostRegister("select", 0x40, "rw", "a bit for each core, 32 of them in each of 8 registers"),
    HostRegister("running", 0x80, "r", "likewise: its programs have not ended yet"),
    HostRegister("stopped", 0xC0, "r", "likewise: a fault has stopped one of its programs"),
)
CHIP_BY_NAME = {register.name: register for register in CHIP_REGISTERS}


def core_window(number: int) -> int:
    """Address of the first register of a core; they count from west to east, north to south."""
    return number + ALL + 1 << HOST_ADDRESS_BITS
