"""The registers of a core as its host sees them: one table for hardware, driver and documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = [
    "COUNTER_BASE",
    "IDENTITY",
    "REGISTERS",
    "START_EMPTY",
    "START_ZERO",
    "HostRegister",
    "counter_addresses",
]

IDENTITY = 0x4B505342
"""What the first register reads as: "BSPK" in its bytes, the first one lowest."""
COUNTER_BASE = 0x400


@dataclass(frozen=True)
class HostRegister:
    """A register of 32 bits at a byte address."""

    name: str
    address: int
    access: str
    """``r``, ``w`` or both; ``1``: writing a one clears the bit."""
    what: str


def _of_subcore(subcore: str, base: int) -> tuple[HostRegister, ...]:
    return (
        HostRegister(f"{subcore}_program", base, "rw", "address of the program, from the origin"),
        HostRegister(
            f"{subcore}_status",
            base + 4,
            "r",
            "bits 0-1: progress (0 idle, 1 running, 2 done, 3 stopped); 4-7: fault; "
            "8: overflow; 9: invalid",
        ),
        HostRegister(
            f"{subcore}_position",
            base + 8,
            "r",
            "bytes from the beginning of the program to the instruction that it stopped at",
        ),
        HostRegister(
            f"{subcore}_waits",
            base + 12,
            "r",
            "what it waits for, or waited for when it stopped; bits 0-7: a tag, which counts if "
            "bit 8 is set: something over this connection is not replied to; 16-23: message boxes",
        ),
    )


START_EMPTY, START_ZERO = 1 << 30, 1 << 31
"""Bits of ``start``: empty the message boxes, and zero the counters."""
REGISTERS = (
    HostRegister("identity", 0x00, "r", f"{IDENTITY:#x}"),
    HostRegister(
        "start",
        0x04,
        "w",
        "bit 0: run the FP program; 1: that of BP; 30: empty the message boxes and forget statuses "
        "that came with messages; 31: zero counters",
    ),
    HostRegister("interrupt", 0x08, "r1", "bit 0: the FP program has ended; 1: that of BP"),
    HostRegister("enable", 0x0C, "rw", "bits of ``interrupt`` that raise the interrupt"),
    HostRegister("timeout", 0x10, "rw", "cycles without anything starting or ending, from 1"),
    HostRegister("origin_low", 0x18, "rw", "where all addresses in DRAM count from"),
    HostRegister("origin_high", 0x1C, "rw", "bits 32-39 of it; a multiple of 4096"),
    HostRegister(
        "connect",
        0x20,
        "w",
        "gives a tag its connection; bits 0-7: tag; 8-11, 12-15: column and row of the core at the "
        "other end; 16: 0 for its FP, 1 for its BP sub-core; 17: 1, or 0 for no connection; 18: 0 "
        "for a tag of the own FP, 1 for one of the own BP sub-core",
    ),
    HostRegister(
        "place",
        0x24,
        "r",
        "bits 0-3, 4-7: column and row of the core; 8-12, 16-20: columns and rows of the mesh",
    ),
    HostRegister(
        "memory_address", 0x28, "rw", "where the next word of DRAM is, from the origin, in bytes"
    ),
    HostRegister(
        "memory_data",
        0x2C,
        "rw",
        "the word of DRAM there; behind each read and write, ``memory_address`` grows by 4",
    ),
    *_of_subcore("fp", 0x40),
    *_of_subcore("bp", 0x60),
)


def counter_addresses(counters: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], int]:
    """Address of each counter by (unit, name); ``counters`` are the names of each unit's.

    A counter takes eight bytes. Reading the lower half keeps the upper one for the next read.
    """
    names = [(unit, name) for unit, names in counters.items() for name in names]
    return {name: COUNTER_BASE + 8 * number for number, name in enumerate(names)}
