"""Without these, TestFloat piped into the hardware could hang, or be answered for another unit."""

from __future__ import annotations

import argparse
import subprocess
import sys

import numpy as np
import pytest

from backspike.commands import unit

ANSWERS = {
    "f16_add": ("3C00 4000", "4200"),
    "f16_sub": ("3C00 4000", "BC00"),
    "f16_mul": ("3E00 C000", "C200"),
    "f16_lt": ("3C00 4000", "1"),
    "f16_le": ("4000 3C00", "0"),
    "f16_eq": ("8000 0000", "1"),
    "f16_to_f32": ("8001", "B3800000"),
    "f32_to_f16": ("47800000", "7C00"),
    "f32_add": ("3F800000 33800000", "3F800000"),
    "f32_mul": ("7F800000 00000000", "7FC00000"),
}


def backspike_unit(name: str, text: str) -> subprocess.CompletedProcess:
    """``backspike unit name`` with ``text`` on its standard input."""
    command = [sys.executable, "-m", "backspike.cli", "unit", name]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", unit.ARITHMETIC_UNITS)
def test_every_unit_answers(name):
    operands, result = ANSWERS[name]
    done = backspike_unit(name, f"{operands} 1234 00\n{operands.lower()}\r\n  {operands}")
    assert done.stderr == ""
    assert done.stdout == f"{operands} {result}\n" * 3
    assert done.returncode == 0


def test_many_lines():
    """More than one buffer of them, in order."""
    a = np.random.default_rng(3).integers(0, 1 << 16, (100_000, 2))
    text = "".join(f"{x:04X} {y:04X}\n" for x, y in a.tolist())
    done = backspike_unit("f16_add", text)
    lines = np.array(
        [[int(word, 16) for word in line.split()] for line in done.stdout.split("\n")[:-1]]
    )
    with np.errstate(all="ignore"):
        sums = np.add(*a.T.astype(np.uint16).view(np.float16))
    codes = np.where(np.isnan(sums), 0x7E00, sums.view(np.uint16))
    assert np.array_equal(lines, np.column_stack([a, codes]))


def test_answers_before_the_input_ends():
    command = [sys.executable, "-m", "backspike.cli", "unit", "f16_mul"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        for result in ("4400", "4880"):
            process.stdin.write("4000 4000\n" if result == "4400" else "4200 4200\n")
            process.stdin.flush()
            assert process.stdout.readline().split()[-1] == result


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("f16_add", "3C00", "operand 2 of 2 must be 4 hexadecimal digits, not ''"),
        ("f16_add", "", "operand 1 of 2 must be 4 hexadecimal digits, not ''"),
        ("f16_lt", "3C00 3C00A", "operand 2 of 2 must be 4 hexadecimal digits, not '3C00A'"),
        ("f16_to_f32", "0x00", "operand 1 of 1 must be 4 hexadecimal digits, not '0x00'"),
        ("f32_to_f16", "3C00", "operand 1 of 1 must be 8 hexadecimal digits, not '3C00'"),
    ],
)
def test_malformed_lines(name, line, message):
    operands, result = ANSWERS[name]
    done = backspike_unit(name, f"{operands}\n{line}\n{operands}\n")
    assert done.stdout == f"{operands} {result}\n"
    assert done.stderr == f"line 2: {message}\n"
    assert done.returncode == 1


def test_unknown_unit(capsys):
    parser = argparse.ArgumentParser()
    unit.add_arguments(parser)
    assert unit.run(parser.parse_args(["f16_div"])) == 2
    assert capsys.readouterr().err == (
        "backspike unit: the unit must be one of f16_add, f16_sub, f16_mul, f16_lt, f16_le, "
        "f16_eq, f16_to_f32, f32_to_f16, f32_add, f32_mul, not 'f16_div'\n"
    )
