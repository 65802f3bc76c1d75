"""``backspike unit NAME``: lines of hexadecimal operands through the Verilated RTL of a unit."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from backspike.hw.arith.add import FloatAdd
from backspike.hw.arith.compare import FloatCompare
from backspike.hw.arith.convert import FloatConvert
from backspike.hw.arith.format import BINARY16, BINARY32
from backspike.hw.arith.multiply import FloatMultiply
from backspike.hw.component import EmitOnce
from backspike.sim.harness.stream import StreamUnit

__all__ = ["ARITHMETIC_UNITS", "add_arguments", "run"]


@dataclass(frozen=True)
class ArithmeticUnit:
    """What Berkeley TestFloat calls a function."""

    make: Callable[[], EmitOnce]
    output: str = "o"
    """The port that holds the result."""
    flip: int = 0
    """XORed into the second operand: how the hardware subtracts."""


ARITHMETIC_UNITS = {
    "f16_add": ArithmeticUnit(lambda: FloatAdd(format=BINARY16)),
    "f16_sub": ArithmeticUnit(lambda: FloatAdd(format=BINARY16), flip=BINARY16.minus_zero),
    "f16_mul": ArithmeticUnit(lambda: FloatMultiply(format=BINARY16)),
    "f16_lt": ArithmeticUnit(lambda: FloatCompare(format=BINARY16), output="lt"),
    "f16_le": ArithmeticUnit(lambda: FloatCompare(format=BINARY16), output="le"),
    "f16_eq": ArithmeticUnit(lambda: FloatCompare(format=BINARY16), output="eq"),
    "f16_to_f32": ArithmeticUnit(lambda: FloatConvert(source=BINARY16, target=BINARY32)),
    "f32_to_f16": ArithmeticUnit(lambda: FloatConvert(source=BINARY32, target=BINARY16)),
    "f32_add": ArithmeticUnit(lambda: FloatAdd(format=BINARY32)),
    "f32_mul": ArithmeticUnit(lambda: FloatMultiply(format=BINARY32)),
}
"""By TestFloat's name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.description = (
        "Reads lines of hexadecimal operands from standard input, as testfloat_gen writes them "
        "(further columns are ignored), and writes a line each: operands, result."
    )
    parser.add_argument("name", metavar="NAME", help=", ".join(ARITHMETIC_UNITS))


def run(args: argparse.Namespace) -> int:
    """Build the unit if need be, and become its program.

    Returns an exit status only if that fails; the program's own is 1 after a malformed line, which
    it names on standard error.
    """
    unit = ARITHMETIC_UNITS.get(args.name)
    if unit is None:
        print(
            f"backspike unit: the unit must be one of {', '.join(ARITHMETIC_UNITS)}, "
            f"not '{args.name}'",
            file=sys.stderr,
        )
        return 2
    try:
        command = StreamUnit(unit.make()).text_command(unit.output, flip=unit.flip)
    except (OSError, RuntimeError) as error:
        print(f"backspike unit: {args.name} cannot be built: {error}", file=sys.stderr)
        return 1
    sys.stdout.flush()
    os.execv(command[0], command)
