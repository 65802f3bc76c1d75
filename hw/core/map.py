"""The registers of a core as its host sees them: one table for hardware, driver and documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BY_NAME",
    "COUNTER_BASE",
    "IDENTITY",
    "REGISTERS",
    "START_EMPTY",
    "START_ZERO",
    "Field",
    "HostRegister",
    "counter_addresses",
]

IDENTITY = 0x4B505342
"""What the first register reads as: "BSPK" in its bytes, the first one lowest."""
COUNTER_BASE = 0x400


@dataclass(frozen=True)
class Field:
    """Neighbouring bits of a register, from bit ``low`` on."""

    name: str
    low: int
    bits: int
    what: str

    def of(self, word: Any) -> Any:
        """Its value in a word: a number of a number, and wires of a signal."""
        if isinstance(word, int):
            return word >> self.low & (1 << self.bits) - 1
        return word[self.low : self.low + self.bits]

    @property
    def label(self) -> str:
        """Its bits, as documents write them."""
        return f"{self.low}-{self.low + self.bits - 1}" if self.bits > 1 else f"{self.low}"


@dataclass(frozen=True)
class HostRegister:
    """A register of 32 bits at a byte address."""

    name: str
    address: int
    access: str
    """``r``, ``w`` or both; ``1``: writing a one clears the bit."""
    purpose: str = ""
    fields: tuple[Field, ...] = ()
    """From the lowest bit on; bits of none are 0. Without any, the word is one number."""

    @property
    def what(self) -> str:
        """What it is for, and its fields."""
        texts = [f"{field.label}: {field.what}" for field in self.fields]
        if texts:
            texts[0] = f"bit{'s' if self.fields[0].bits > 1 else ''} {texts[0]}"
        return "; ".join([self.purpose, *texts] if self.purpose else texts)

    def field(self, name: str) -> Field:
        """One of its fields."""
        return next(each for each in self.fields if each.name == name)

    def pack(self, **values: int) -> int:
        """The word with these values of fields; the others are 0."""
        return sum(value << self.field(name).low for name, value in values.items())


def _of_subcore(subcore: str, base: int) -> tuple[HostRegister, ...]:
    return (
        HostRegister(f"{subcore}_program", base, "rw", "address of the program, from the origin"),
        HostRegister(
            f"{subcore}_status",
            base + 4,
            "r",
            fields=(
                Field("progress", 0, 2, "progress (0 idle, 1 running, 2 done, 3 stopped)"),
                Field("fault", 4, 4, "fault"),
                Field("overflow", 8, 1, "overflow"),
                Field("invalid", 9, 1, "invalid"),
            ),
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
            "what it waits for, or waited for when it stopped",
            (
                Field("tag", 0, 8, "a tag, which counts if the next bit is set"),
                Field("answer", 8, 1, "something over its connection is not replied to"),
                Field("boxes", 16, 8, "message boxes"),
            ),
        ),
    )


REGISTERS = (
    HostRegister("identity", 0x00, "r", f"{IDENTITY:#x}"),
    HostRegister(
        "start",
        0x04,
        "w",
        fields=(
            Field("fp", 0, 1, "run the FP program"),
            Field("bp", 1, 1, "that of BP"),
            Field(
                "empty",
                30,
                1,
                "empty the message boxes and forget statuses that came with messages",
            ),
            Field("zero", 31, 1, "zero counters"),
        ),
    ),
    HostRegister(
        "interrupt",
        0x08,
        "r1",
        fields=(
            Field("fp", 0, 1, "the FP program has ended"),
            Field("bp", 1, 1, "that of BP"),
        ),
    ),
    HostRegister("enable", 0x0C, "rw", "bits of ``interrupt`` that raise the interrupt"),
    HostRegister("timeout", 0x10, "rw", "cycles without anything starting or ending, from 1"),
    HostRegister("origin_low", 0x18, "rw", "where all addresses in DRAM count from"),
    HostRegister("origin_high", 0x1C, "rw", "bits 32-39 of it; a multiple of 4096"),
    HostRegister(
        "connect",
        0x20,
        "w",
        "gives a tag its connection",
        (
            Field("tag", 0, 8, "tag"),
            Field("column", 8, 4, "column of the core at the other end"),
            Field("row", 12, 4, "row of that core"),
            Field("subcore", 16, 1, "0 for its FP, 1 for its BP sub-core"),
            Field("valid", 17, 1, "1, or 0 for no connection"),
            Field("own", 18, 1, "0 for a tag of the own FP, 1 for one of the own BP sub-core"),
        ),
    ),
    HostRegister(
        "place",
        0x24,
        "r",
        fields=(
            Field("column", 0, 4, "column of the core"),
            Field("row", 4, 4, "its row"),
            Field("columns", 8, 5, "columns of the mesh"),
            Field("rows", 16, 5, "its rows"),
        ),
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
BY_NAME = {register.name: register for register in REGISTERS}
START_EMPTY, START_ZERO = BY_NAME["start"].pack(empty=1), BY_NAME["start"].pack(zero=1)
"""Words for ``start``: empty the message boxes, and zero the counters."""


def counter_addresses(counters: Mapping[str, Iterable[str]]) -> dict[tuple[str, str], int]:
    """Address of each counter by (unit, name); ``counters`` are the names of each unit's.

    A counter takes eight bytes. Reading the lower half keeps the upper one for the next read.
    """
    names = [(unit, name) for unit, names in counters.items() for name in names]
    return {name: COUNTER_BASE + 8 * number for number, name in enumerate(names)}
