"""Verilates a module once for all its instances: as a block of a larger simulation.

Verilator makes C++ of every instance of a module, so that a chip takes as many times as long to
build as it has cores, and runs through as much code in each cycle. A block is a model of its own
(``block.cpp``); in the simulation of the chip its module is replaced by a stub, which hands inputs
to a model and takes outputs from it. Nothing is delayed by that, and nothing else changes, but for
these: a block does nothing at falling edges of its clocks, which in waves stay low within it, and
its signals are not to be had by cocotb (memories are, by
:func:`backspike.sim.harness.driver.backdoor`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backspike.hw.emit import Emission, ModulePort
from backspike.sim.harness.tools import (
    BUILD_ROOT,
    MAKE_FLAGS,
    TIMESCALE,
    VERILATOR_FLAGS,
    call_tool,
    digest_of,
    made_once,
    trace_arguments,
    verilator_environment,
)

__all__ = ["VerilatedBlock", "control_file", "modules_of"]

HERE = Path(__file__).parent
GLUE = HERE / "block.cpp"
WITH_MEMORIES = ("sram_", "nonzero_map_", "dram_", "recorder_")
"""How the names of modules begin whose memories a testbench may fill and read."""
WORD_BITS = 32
"""Ports begin at multiples of it in what goes between stub and model."""
MOST_CLOCKS = 30
"""``block.cpp`` has a word for them and two signals of its own."""


def modules_of(emission: Emission, top: str, *, without: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of ``top`` and of all in it, but of ``without`` and of what is in these alone."""
    found, left = set(), [top]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [each for each in emission.modules[name].instances if each not in without]
    return tuple(name for name in emission.modules if name in found)


def control_file(modules: Iterable[str], *lines: str) -> str:
    """Text that tells Verilator what a testbench needs: ``lines``, and the memories of modules."""
    memories = [
        f'public_flat_rw -module "{name}" -var "words"'
        for name in modules
        if name.startswith(WITH_MEMORIES)
    ]
    return "\n".join(("`verilator_config", *lines, *memories, ""))


@dataclass(frozen=True)
class _Slice:
    """A port and the word that it begins at."""

    port: ModulePort
    first: int

    @property
    def words(self) -> int:
        """Words that it takes."""
        return -(-self.port.width // WORD_BITS)

    @property
    def padded(self) -> str:
        """The port in Verilog, as so many words."""
        spare = WORD_BITS * self.words - self.port.width
        return f"{spare}'d0, {self.port.name}" if spare else self.port.name


def _slices(ports: Iterable[ModulePort]) -> tuple[list[_Slice], int]:
    """The ports one behind the other, and the words of them all."""
    slices, first = [], 0
    for port in ports:
        slices.append(_Slice(port, first))
        first += slices[-1].words
    return slices, first


class VerilatedBlock:
    """A module of an emission, to be Verilated on its own.

    Clocks are its inputs called ``clk`` or ``<domain>_clk``, resets those called ``rst`` or
    ``<domain>_rst``.

    Parameters
    ----------
    emission : Emission
    name : str
        The module.
    waves : bool
        As of :func:`backspike.sim.harness.cosim.build`.

    Attributes
    ----------
    name : str
    folder : Path
        Where it is built; another one where anything differs.
    stub : str
        SystemVerilog of what stands for the module.

    Raises
    ------
    ValueError
        If there is no such module, or it has no clock, too many, no other input or no output.
    """

    def __init__(self, emission: Emission, name: str, *, waves: bool):
        if name not in emission.modules:
            raise ValueError(f"a block must be a module of {emission.top}, not {name!r}")
        self.name = name
        self._waves = waves
        self._texts = {each: emission.texts[each] for each in modules_of(emission, name)}
        ports = emission.modules[name].ports
        inputs = [port for port in ports if port.direction == "input"]
        self._clocks = [port for port in inputs if _is_called(port, "clk")]
        resets = [port for port in inputs if _is_called(port, "rst")]
        others = [port for port in inputs if port not in (*self._clocks, *resets)]
        if not 1 <= len(self._clocks) <= MOST_CLOCKS:
            raise ValueError(
                f"a block must have 1 to {MOST_CLOCKS} clocks, but {name} has {len(self._clocks)}"
            )
        self._operands, self._operand_words = _slices([*others, *resets])
        self._first_reset = _slices(others)[1]
        self._results, self._result_words = _slices(
            port for port in ports if port.direction == "output"
        )
        if not self._operands or not self._results:
            raise ValueError(f"a block must have an input and an output, but {name} has not")
        self.stub = self._stub()
        self._sources = {
            "block.vlt": control_file(self._texts),
            "shell.v": self._shell(),
            **{f"{each}.v": text for each, text in self._texts.items()},
        }
        self._header = self._ports_header()
        digest = digest_of(
            *self._sources.values(), self._header, GLUE.read_text(), self.stub, str(waves)
        )
        self.folder = BUILD_ROOT / "sim" / f"block-{name[:60]}-{digest}"

    @property
    def objects(self) -> tuple[Path, ...]:
        """What a simulation is linked with."""
        return self.folder / "block.o", self.folder / f"{self._prefix}__ALL.a"

    @property
    def _prefix(self) -> str:
        """Name of the model's class."""
        return f"Vblock_{self.name}"

    def build(self) -> None:
        """Makes the :attr:`objects`, unless they were made before.

        Raises
        ------
        ToolError
            If Verilator or the compiler fails.
        """
        done = self.folder / "built"
        with made_once(done) as wanted:
            if not wanted:
                return
            sources = self.folder / "src"
            sources.mkdir()
            for name, text in self._sources.items():
                (sources / name).write_text(text)
            (self.folder / "ports.h").write_text(self._header)
            shutil.copy(GLUE, self.folder)
            call_tool(
                "verilator", "--cc", "--vpi", *VERILATOR_FLAGS, "--timescale", "/".join(TIMESCALE),
                *(trace_arguments() if self._waves else ()), "--prefix", self._prefix,
                "--top-module", f"{self.name}_block", "-Mdir", str(self.folder),
                *(str(sources / name) for name in self._sources),
                folder=self.folder, environment=verilator_environment(),
            )  # fmt: skip
            call_tool(
                "make", "-j", str(os.cpu_count()), "-f", f"{self._prefix}.mk", *MAKE_FLAGS,
                *(path.name for path in self.objects),
                folder=self.folder, environment=verilator_environment(),
            )  # fmt: skip
            done.touch()

    def _declarations(self) -> str:
        """The ports of the module, as they are declared in Verilog."""
        ports = [*self._clocks, *(each.port for each in (*self._operands, *self._results))]
        return ", ".join(f"{port.direction} [{port.width - 1}:0] {port.name}" for port in ports)

    def _stub(self) -> str:
        name, clocks = self.name, [port.name for port in self._clocks]
        operands = ", ".join(each.padded for each in reversed(self._operands))
        operand_bits = f"bit [{WORD_BITS * self._operand_words - 1}:0]"
        result_bits = f"bit [{WORD_BITS * self._result_words - 1}:0]"
        return "\n".join(
            [
                f"module {name}({self._declarations()});",
                f'  import "DPI-C" function chandle {name}_make(input string path);',
                f'  import "DPI-C" function int {name}_edge(',
                "    input chandle model, input int unsigned clocks);",
                f'  import "DPI-C" function void {name}_update(input chandle model,',
                f"    input int edges, input {operand_bits} operands,",
                f"    output {result_bits} results);",
                "  chandle block_model;",
                "  int block_edges;",
                f"  {result_bits} block_results;",
                f'  initial block_model = {name}_make($sformatf("%m"));',
                f"  always @({' or '.join(clocks)})",
                f"    block_edges <= {name}_edge(block_model, 32'({{{', '.join(clocks[::-1])}}}));",
                "  // Outputs follow from inputs, and from what the edges have made of the inside.",
                f"  always_comb {name}_update(block_model, block_edges, {{{operands}}}, "
                "block_results);",
                *(
                    f"  assign {each.port.name} = block_results"
                    f"[{WORD_BITS * each.first} +: {each.port.width}];"
                    for each in self._results
                ),
                "endmodule",
                "",
            ]
        )

    def _shell(self) -> str:
        """The top module of the model; see ``block.cpp``."""
        cut = [each.port for each in self._operands if each.first < self._first_reset]
        resets = [each.port for each in self._operands if each.first >= self._first_reset]
        connections = [f".{port.name}({port.name})" for port in self._clocks]
        connections += [f".{each.port.name}({each.port.name})" for each in self._results]
        connections += [f".{port.name}(block_{port.name})" for port in (*cut, *resets)]
        return "\n".join(
            [
                f"module {self.name}_block(input block_load, input block_load_resets,",
                f"  {self._declarations()});",
                *(f"  reg [{port.width - 1}:0] block_{port.name};" for port in (*cut, *resets)),
                *(
                    f"  always @(posedge {load}) block_{port.name} <= {port.name};"
                    for load, ports in (("block_load", cut), ("block_load_resets", resets))
                    for port in ports
                ),
                f"  {self.name} inner({', '.join(connections)});",
                "endmodule",
                "",
            ]
        )

    def _ports_header(self) -> str:
        """What block.cpp has to know."""

        def visitor(name: str, ports: Iterable[tuple[ModulePort, int]]) -> str:
            # C++ has other names for ports, since "__" is its own.
            visits = [
                f"visit(model.{port.name.replace('__', '___05F')}, {n});" for port, n in ports
            ]
            return (
                f"template <class Visit>\nvoid {name}(Model& model, Visit visit) {{\n    "
                + "\n    ".join(visits)
                + "\n}"
            )

        return "\n".join(
            [
                "#include <cstddef>",
                f'#include "{self._prefix}.h"',
                f"#define MAKE {self.name}_make",
                f"#define EDGE {self.name}_edge",
                f"#define UPDATE {self.name}_update",
                f"using Model = {self._prefix};",
                f'constexpr const char* INNER = ".{self.name}_block.inner";',
                f"constexpr std::size_t OPERANDS = {self._operand_words};",
                f"constexpr std::size_t FIRST_RESET = {self._first_reset};",
                visitor("each_clock", ((port, n) for n, port in enumerate(self._clocks))),
                visitor("each_operand", ((each.port, each.first) for each in self._operands)),
                visitor("each_result", ((each.port, each.first) for each in self._results)),
                "",
            ]
        )


def _is_called(port: ModulePort, kind: str) -> bool:
    return port.width == 1 and port.name.rpartition("_")[2] == kind
