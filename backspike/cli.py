"""The command ``backspike``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NoReturn

__all__ = ["Parser", "guarded", "main"]

VERBS = {
    "verilog": "write a configuration's hardware as Verilog",
    "train": "train a network on real data, in hardware and with its model",
    "disassemble": "print the programs of a core, with the reason of each instruction",
    "unit": "run operands from standard input through one arithmetic unit",
}
"""Verbs and what each does; each is a module of :mod:`backspike.commands` that has
``add_arguments`` and ``run``."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status: 0, 1 for a failed check, 2 for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Only the module of the verb that is asked for is imported: most take a second or two.
    asked = next((word for word in arguments if not word.startswith("-")), None)
    program = f"backspike {asked}" if asked in VERBS else "backspike"
    return guarded(program, lambda: _run(arguments, asked))


def guarded(program: str, work: Callable[[], int]) -> int:
    """Do the work of a command, and return its exit status.

    Bad input and interruption become a sentence behind the name of the program; a bug keeps its
    traceback.
    """
    # A component that is emitted as an instance of a module never elaborates the units in it.
    warnings.filterwarnings("ignore", message="<.*> created but never used")
    try:
        return work()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has gone; what is still buffered must not fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"{program}: {sentence}", file=sys.stderr)
        return 2


def _run(arguments: list[str], asked: str | None) -> int:
    parser = Parser(
        prog="backspike",
        description="Generator of chips that train spiking neural networks.",
    )
    parser.add_argument("--version", action="version", version=metadata.version("backspike"))
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    run = None
    for verb, what in VERBS.items():
        verb_parser = verbs.add_parser(verb, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if verb == asked:
            module = importlib.import_module(f"backspike.commands.{verb}")
            module.add_arguments(verb_parser)
            run = module.run
    args = parser.parse_args(arguments)
    assert run is not None, "the parser accepts no other verb"
    return run(args)


def _sentence(error: Exception) -> str | None:
    """What an exception tells the user; None if it is no answer to bad input, but a bug."""
    from backspike.hw.config import ConfigError
    from backspike.hw.emit import EmitError
    from backspike.sim.harness.tools import ToolError

    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    answers = (ConfigError, EmitError, OSError, ToolError)
    return str(error) if isinstance(error, answers) else None


if __name__ == "__main__":
    sys.exit(main())
