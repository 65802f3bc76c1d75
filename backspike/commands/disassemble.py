"""``backspike disassemble``: the programs in a file as text, each instruction with its reason."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from backspike.compiler.assembling.disassemble import lines
from backspike.compiler.assembling.file import load_programs
from backspike.hw.isa.table import UNITS, IsaShape, instruction_set

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``backspike disassemble``."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("build/train/program.json"),
        help="programs of a core (default: build/train/program.json, of backspike train)",
    )
    parser.add_argument(
        "--subcore", choices=tuple(UNITS), help="the program of one sub-core (default: both)"
    )


def run(args: argparse.Namespace) -> int:
    """``backspike disassemble``: 0, or 2 with one sentence if the file is none of programs."""
    try:
        config, programs = load_programs(args.file)
    except ValueError as error:
        print(f"backspike disassemble: {error}", file=sys.stderr)
        return 2
    shape = IsaShape.from_config(config)
    for subcore, program in programs.items():
        if args.subcore not in (None, subcore):
            continue
        print(f"{subcore.upper()} sub-core of {config.name}: {len(program.words)} words")
        instructions = instruction_set(shape, subcore)
        for line in lines(
            program.words, instructions, subcore, program.reasons, phases=program.phases
        ):
            print(line)
    return 0
