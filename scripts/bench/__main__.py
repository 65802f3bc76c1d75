"""Measures the figures, prints them beside their targets, and writes ``build/bench.json``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backspike.cli import Parser, guarded
from backspike.files import write_whole
from scripts.bench.figure import Figure, NotMeasured
from scripts.bench.figures import FIGURES

__all__ = ["main"]

PROGRAM = "scripts.bench"
OUT = Path("build/bench.json")


def record(figure: Figure, value: float | None) -> dict[str, Any]:
    """The object that stands for a figure in the file."""
    return {
        "name": figure.name,
        "value": value,
        "unit": figure.unit,
        "relation": figure.relation,
        "target": figure.target,
        "command": figure.command,
    }


def merge(path: Path, measured: dict[str, dict[str, Any]]) -> None:
    """Put results into a file beside those it has of other figures, all or nothing."""
    kept = dict[str, dict[str, Any]]()
    if path.exists():
        try:
            kept = {each["name"]: each for each in json.loads(path.read_text(encoding="utf-8"))}
        except (ValueError, TypeError, KeyError):
            print(f"{path} is no list of figures and is written anew", file=sys.stderr)
    together = kept | measured
    ordered = [together[name] for name in FIGURES if name in together]
    write_whole(path, json.dumps(ordered, indent=2) + "\n")


def line(figure: Figure, value: float | None, why: str = "") -> str:
    """What is printed of a figure."""
    mark = "-" if value is None else "✓" if figure.holds(value) else "✗"
    mark = " " if figure.target is None else mark
    shown = "not measured" if value is None else f"{value:.4g} {figure.unit}"
    wanted = "" if figure.target is None else f"{figure.relation} {figure.target:.4g}"
    return f"{mark} {figure.name:28} {shown:>22}  {wanted:10} {why or figure.what}"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if a target is missed or a tool fails, 2 with one sentence for bad input."""
    parser = Parser(prog=PROGRAM, description=__doc__)
    parser.add_argument("--only", metavar="NAME", nargs="+", help="measure these figures alone")
    parser.add_argument(
        "--out", type=Path, default=OUT, help=f"file for the results (default: {OUT})"
    )
    args = parser.parse_args(argv)
    return guarded(PROGRAM, lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    for name in args.only or ():
        if name not in FIGURES:
            print(
                f"{PROGRAM}: the figure must be one of {', '.join(FIGURES)}, not {name!r}",
                file=sys.stderr,
            )
            return 2
    chosen = [FIGURES[name] for name in args.only or FIGURES]
    began = time.perf_counter()
    missed, absent, failed = [], [], []
    for number, figure in enumerate(chosen, 1):
        if sys.stdout.isatty():
            print(f"  [{number}/{len(chosen)}] {figure.name} ...", end="\r", flush=True)
        value, why = None, ""
        try:
            value = figure.measure()
        except NotMeasured as reason:
            why = str(reason)
        except (RuntimeError, ValueError, subprocess.SubprocessError) as reason:
            why = f"failed: {reason}".splitlines()[0]
            failed.append(figure.name)
        print(line(figure, value, why), flush=True)
        # After each, so that an interrupted run keeps what it has.
        merge(args.out, {figure.name: record(figure, value)})
        if value is None and figure.name not in failed:
            absent.append(figure.name)
        elif value is not None and not figure.holds(value):
            missed.append(figure.name)
    print(f"{len(chosen)} figures in {time.perf_counter() - began:.0f} s; see {args.out}")
    if absent:
        print(f"- {len(absent)} not measured: {', '.join(absent)}")
    if failed:
        print(f"✗ {len(failed)} failed: {', '.join(failed)}")
    if missed:
        print(f"✗ {len(missed)} missed: {', '.join(missed)}")
    elif any(each.target is not None for each in chosen if each.name not in absent + failed):
        print("✓ every target that was measured is met")
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
