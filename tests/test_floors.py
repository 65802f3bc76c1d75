"""Without these, a lower floor could come to need a higher one, and files each other."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    "hw": {"hw"},
    "boards": {"boards", "hw"},
    "sim": {"sim", "hw"},
    "backspike": {"backspike", "sim", "hw"},
    "scripts": {"scripts", "backspike", "sim", "hw", "boards"},
    "examples": {"examples", "backspike", "sim", "hw"},
    "tests": {"tests", "scripts", "backspike", "sim", "hw", "boards", "examples"},
}
"""Each folder at the top, and those that it may import from."""
LINKED = ("hw", "sim")
"""Folders that are packages of ``backspike`` by a link in it, and imported as these alone."""
ROOMS = {
    "backspike.hw": (
        "component limits setting verilog",
        "arith counters emit memory",
        "config engine",
        "isa presets",
        "conv dma neuron noc wg",
        "bp control fp",
        "core",
        "chip",
    ),
    "backspike.sim": ("model", "harness"),
    "backspike": (
        "files hw",
        "sim",
        "network",
        "compiler",
        "device",
        "training",
        "commands",
        "cli",
    ),
    "backspike.compiler": ("assembling lowering", "memory", "order", "planning"),
}
"""The rooms of a package, lowest first: each imports from those in front of its own line alone."""


def modules() -> dict[str, Path]:
    """Every file of Python, by the name under which it is imported."""
    found = {}
    for top in FLOORS:
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[1:2] and parts[0] == "backspike" and parts[1] in LINKED:
                continue
            name = ".".join(("backspike", *parts) if top in LINKED else parts)
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def imports() -> dict[str, set[str]]:
    """What of this project each module imports."""
    known = modules()
    roots = {name.partition(".")[0] for name in known} | set(LINKED)
    graph = {}
    for name, path in known.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{name} must import by absolute names"
                inner = {f"{node.module}.{each.name}" for each in node.names}
                found |= {each if each in known else node.module for each in inner}
        graph[name] = {each for each in found - {name} if each.partition(".")[0] in roots}
    return graph


def floor_of(module: str) -> str:
    """The folder at the top that a module lies in; a sentence for one that is imported wrongly."""
    first, _, rest = module.partition(".")
    if first in LINKED:
        return f"{first}, which is imported as backspike.{first} only"
    second = rest.partition(".")[0]
    return second if first == "backspike" and second in LINKED else first


def test_every_floor_imports_from_lower_ones_alone():
    wrong = [
        f"{module} imports {other}, of {floor_of(other)}"
        for module, others in imports().items()
        for other in others
        if floor_of(other) not in FLOORS[floor_of(module)]
    ]
    assert not wrong


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_imports_from_lower_ones_alone(package):
    levels = {room: level for level, line in enumerate(ROOMS[package]) for room in line.split()}

    def room_of(module):
        return module.removeprefix(f"{package}.").partition(".")[0]

    inside = {
        module: {other for other in others if other.startswith(f"{package}.")}
        for module, others in imports().items()
        if module.startswith(f"{package}.")
    }
    missing = {room_of(module) for module in inside} - set(levels)
    assert not missing, f"ROOMS must say where they are in {package}"
    wrong = [
        f"{module} imports {other}"
        for module, others in inside.items()
        for other in others
        if room_of(module) != room_of(other) and levels[room_of(module)] <= levels[room_of(other)]
    ]
    assert not wrong


@pytest.mark.parametrize("package", ROOMS)
def test_a_package_of_rooms_imports_none_of_them(package):
    """It is imported with each of them, so whatever it needs, all of them would."""
    assert not imports()[package]


def test_no_files_import_each_other_in_a_circle():
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_links_are_what_is_imported():
    for name in LINKED:
        assert (ROOT / "backspike" / name).resolve() == ROOT / name


def test_no_arrow_is_missed():
    """A change of the ways that files are imported in must not make this page blind."""
    arrows = defaultdict(int)
    for module, others in imports().items():
        for other in others:
            arrows[floor_of(module), floor_of(other)] += 1
    assert arrows["hw", "hw"] > 200
    assert (
        min(arrows[pair] for pair in [("sim", "hw"), ("backspike", "sim"), ("scripts", "hw")]) > 9
    )
