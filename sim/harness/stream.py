"""Streams operands through a Verilated unit of fixed latency: millions a second, in C++ alone.

A unit is a component without handshakes whose outputs are valid ``latency`` cycles after its
inputs. It is emitted, Verilated and linked with ``stream_main.cpp`` into a program, once for every
Verilog text; what all units share of Verilator is compiled once for all of them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backspike.hw.emit import ModulePort, emit
from backspike.sim.harness.tools import (
    BUILD_ROOT,
    VERILATOR_FLAGS,
    call_tool,
    digest_of,
    made_once,
    verilator_answer,
    verilator_environment,
)

if TYPE_CHECKING:
    from backspike.hw.component import EmitOnce

__all__ = ["StreamUnit"]

MAIN = Path(__file__).with_name("stream_main.cpp")
FOLDER = "unit"
"""Where, below the build root, programs and the run-time library are kept."""
WORD_BITS = 64
"""A port must fit into one word of a record."""
COMPILE = (
    "-std=c++17",
    "-O2",
    "-DVERILATOR=1",
    *(f"-DVM_{feature}=0" for feature in ("COVERAGE", "SC", "TIMING", "TRACE")),
)
RUN_TIME = ("verilated", "verilated_threads")
"""Verilator's sources that every program needs."""


class StreamUnit:
    """A Verilated unit, built when it is made unless it was built before.

    Parameters
    ----------
    component : EmitOnce
        With an attribute ``latency``, in cycles; its ports have at most 64 bits.

    Attributes
    ----------
    program : Path
        The executable; ``stream_main.cpp`` tells what it does.
    inputs, outputs : tuple of ModulePort
        In the order of the component's signature.

    Raises
    ------
    ValueError
        If a port is too wide.
    ToolError
        If Verilator or the compiler fails.
    """

    def __init__(self, component: EmitOnce):
        emission = emit(component)
        module = emission.modules[emission.top]
        ports = {port.name: port for port in module.ports}
        ordered = [ports[name] for name in component.signature.members if name in ports]
        for port in ordered:
            if port.width > WORD_BITS:
                raise ValueError(
                    f"{module.name}.{port.name} must be at most {WORD_BITS} bits to be streamed, "
                    f"not {port.width!r}"
                )
        self.inputs = tuple(port for port in ordered if port.direction == "input")
        self.outputs = tuple(port for port in ordered if port.direction == "output")
        header = _header(self.inputs, self.outputs, module.latency or 0, clocked="clk" in ports)
        self.program = _build(emission.top, "".join(emission.texts.values()), header)

    def run(self, **operands: ArrayLike) -> dict[str, NDArray[np.int64]]:
        """The results of all operands, by output port.

        ``operands`` are one-dimensional integer arrays of one length, by input port; of negative
        numbers, the port gets the lowest bits. Signed outputs are sign-extended; those of 64 bits
        are taken as signed in any case.
        """
        names = [port.name for port in self.inputs]
        if sorted(names) != sorted(operands):
            raise ValueError(f"the operands must be {names}, not {list(operands)}")
        columns = [np.asarray(operands[name]).astype(np.int64) for name in names]
        done = subprocess.run(
            [self.program, "binary"],
            input=np.stack(columns, axis=1).tobytes(),
            stdout=subprocess.PIPE,
        )
        results = np.frombuffer(done.stdout, np.int64).reshape(-1, len(self.outputs))
        if done.returncode or len(results) != len(columns[0]):
            raise RuntimeError(f"{self.program} gave {len(results)} of {len(columns[0])} results")
        return {
            port.name: _sign_extended(results[:, i], port) for i, port in enumerate(self.outputs)
        }

    def text_command(self, output: str, *, flip: int = 0) -> list[str]:
        """The command that turns lines of operands into lines of operands and ``output``.

        ``flip`` is XORed into the last operand.
        """
        index = [port.name for port in self.outputs].index(output)
        return [str(self.program), "text", str(index), str(flip)]


def _sign_extended(words: NDArray[np.int64], port: ModulePort) -> NDArray[np.int64]:
    spare = WORD_BITS - port.width
    return (words << spare) >> spare if port.signed else words


def _header(
    inputs: tuple[ModulePort, ...], outputs: tuple[ModulePort, ...], latency: int, *, clocked: bool
) -> str:
    """What stream_main.cpp has to know about the unit."""

    def sets(port: ModulePort, index: int) -> str:
        return f"unit.{port.name} = words[{index}] & {hex((1 << port.width) - 1)}ull;"

    def widths(ports: tuple[ModulePort, ...]) -> str:
        return ", ".join(str(port.width) for port in ports)

    cycle = "unit.clk = 0; unit.eval(); unit.clk = 1; unit.eval();" if clocked else "unit.eval();"
    return "\n".join(
        [
            "#include <cstddef>",
            "#include <cstdint>",
            '#include "Vunit.h"',
            "using Unit = Vunit;",
            f"constexpr size_t INPUTS = {len(inputs)}, OUTPUTS = {len(outputs)};",
            f"constexpr size_t LATENCY = {latency};",
            f"constexpr unsigned INPUT_BITS[] = {{{widths(inputs)}}};",
            f"constexpr unsigned OUTPUT_BITS[] = {{{widths(outputs)}}};",
            f"inline void clock(Unit& unit) {{ {cycle} }}",
            "inline void set_inputs(Unit& unit, const uint64_t* words) {",
            *(f"    {sets(port, i)}" for i, port in enumerate(inputs)),
            "}",
            "inline void get_outputs(Unit& unit, uint64_t* words) {",
            *(f"    words[{i}] = unit.{port.name};" for i, port in enumerate(outputs)),
            "}",
            "",
        ]
    )


def _build(name: str, verilog: str, header: str) -> Path:
    """The program for ``verilog``, made unless it is there."""
    digest = digest_of(verilog, header, MAIN.read_text(), *COMPILE)
    folder = BUILD_ROOT / FOLDER / f"{name[:60]}-{digest}"
    program = folder / "unit"
    with made_once(program) as wanted:
        if wanted:
            run_time = _run_time()
            (folder / "unit.v").write_text(verilog)
            (folder / "unit.h").write_text(header)
            call_tool("verilator", "--cc", *VERILATOR_FLAGS, "--prefix", "Vunit", "--top-module",
                      name, "--Mdir", str(folder), "unit.v",
                      folder=folder, environment=verilator_environment())  # fmt: skip
            # One translation unit: Verilator's headers take longer to compile than all the rest.
            sources = [*sorted(folder.glob("Vunit*.cpp")), MAIN]
            main = folder / "unit.cpp"
            main.write_text("".join(f'#include "{path}"\n' for path in sources))
            call_tool(*_compiler(), "-I", str(run_time), "-I", str(folder), "-include",
                      "run_time.h", str(main), *map(str, sorted(run_time.glob("*.o"))), "-pthread",
                      "-o", str(program) + ".new", folder=folder)  # fmt: skip
            os.replace(str(program) + ".new", program)
    return program


def _run_time() -> Path:
    """A folder with Verilator's run-time library and its header, compiled."""
    folder = BUILD_ROOT / FOLDER / f"run_time-{digest_of(*COMPILE)}"
    done = folder / "done"
    with made_once(done) as wanted:
        if wanted:
            header = folder / "run_time.h"
            header.write_text('#include "verilated.h"\n')
            call_tool(
                *_compiler(), "-x", "c++-header", str(header), "-o", f"{header}.gch", folder=folder
            )
            for name in RUN_TIME:
                source = _verilator_root() / "include" / f"{name}.cpp"
                call_tool(*_compiler(), "-c", str(source), "-o", f"{name}.o", folder=folder)
            done.touch()
    return folder


def _compiler() -> list[str]:
    include = _verilator_root() / "include"
    return ["g++", *COMPILE, f"-I{include}", f"-I{include / 'vltstd'}"]


def _verilator_root() -> Path:
    return Path(verilator_answer("--getenv", "VERILATOR_ROOT").strip())
