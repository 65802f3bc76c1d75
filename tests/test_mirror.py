"""Without this, a file could lack a test, and nobody would know which test is its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

NO_LOGIC = {
    "chip/map.py": "a table of registers",
    "isa/conv/command.py": "fields of a command",
    "conv/groups.py": "a loop nest with its tails named",
    "isa/conv/shape.py": "sizes of an engine",
    "core/axi_lite.py": "names of ports",
    "core/status.py": "fields of a register",
    "dma/axi.py": "names of ports",
    "isa/dma/command.py": "fields of a command",
    "isa/neuron/command.py": "fields of commands",
    "isa/neuron/kinds.py": "a table of memories",
    "isa/noc/command.py": "fields of a command",
    "core/connection.py": "fields of a table",
    "noc/flit.py": "fields of a flit",
    "noc/packet.py": "fields of a packet",
}
"""Files that only name things, and what; whoever uses them would fail."""

INSTRUCTIONS = "hw/control/test_decoder.py"
CYCLES = "hw/isa/test_cycles.py"
ELSEWHERE = {
    # The table of instructions: rows, and what they are made of.
    "isa/control.py": INSTRUCTIONS,
    "isa/conv/cycles.py": CYCLES,
    "isa/conv/instructions.py": INSTRUCTIONS,
    "isa/dma/cycles.py": CYCLES,
    "isa/dma/instructions.py": INSTRUCTIONS,
    "isa/instruction.py": INSTRUCTIONS,
    "isa/neuron/cycles.py": CYCLES,
    "isa/neuron/instructions.py": INSTRUCTIONS,
    "isa/neuron/maps.py": INSTRUCTIONS,
    "isa/neuron/vector_instructions.py": INSTRUCTIONS,
    "isa/noc/cycles.py": CYCLES,
    "isa/noc/instructions.py": INSTRUCTIONS,
    "isa/encoding.py": "backspike/compiler/assembling/test_program.py",
    "isa/operands.py": INSTRUCTIONS,
    "isa/registers.py": "hw/isa/test_units.py",
    "isa/table.py": "hw/isa/test_units.py",
    "isa/work.py": CYCLES,
    "isa/wg/command.py": "backspike/compiler/lowering/test_gradient.py",
    "isa/wg/cycles.py": CYCLES,
    "isa/wg/instructions.py": INSTRUCTIONS,
    "control/microcode.py": "hw/control/test_alu.py",
    # Checked for whatever they are settings of.
    "limits.py": "hw/test_config.py",
    "presets.py": "hw/test_config.py",
    "setting.py": "hw/test_config.py",
    # Parts of an arithmetic unit, which is tested by all of its operands.
    "arith/rounding.py": "hw/arith/test_fixed.py",
    "arith/unpack.py": "hw/arith/test_fixed.py",
    # Parts that are tested with what they are parts of, or beside their twins.
    "neuron/element.py": "hw/neuron/test_engines.py",
    "neuron/grad.py": "hw/neuron/test_lanes.py",
    "neuron/lane.py": "hw/neuron/test_lanes.py",
    "neuron/soma.py": "hw/neuron/test_lanes.py",
    "neuron/update.py": "hw/neuron/test_engines.py",
    "neuron/update_lane.py": "hw/neuron/test_lanes.py",
    "neuron/walk.py": "backspike/compiler/lowering/test_neuron.py",
    "noc/arbiter.py": "hw/noc/test_router.py",
    "noc/queue.py": "hw/noc/test_router.py",
    "noc/receive.py": "hw/noc/test_interface.py",
    "noc/send.py": "hw/noc/test_interface.py",
    "noc/table.py": "hw/noc/test_interface.py",
    "dma/read.py": "hw/dma/test_engine.py",
    "dma/write.py": "hw/dma/test_engine.py",
    "verilog.py": "hw/test_emit.py",
}
"""Where those are tested that share a test with others, by the path in ``tests``."""

PARTS = {"dma/engine.py": "dma.read", "noc/interface.py": "noc.receive"}
"""Files that are tested by a part, or by what they are a part of."""

FILES = sorted(
    str(path.relative_to(ROOT / "hw"))
    for path in (ROOT / "hw").rglob("*.py")
    if path.name != "__init__.py"
)


ON_A_CORE = "compiler/planning/core/test_plan.py"
ON_A_MESH = "compiler/planning/mesh/test_plan.py"
TRAINING = "training/test_training.py"
BACKSPIKE = {
    "commands/disassemble.py": "compiler/assembling/test_file.py",
    "commands/train.py": TRAINING,
    "compiler/assembling/disassemble.py": "compiler/assembling/test_file.py",
    # Whole steps are compared with the model, whose maps and weights these put where they belong.
    "compiler/lowering/layers.py": ON_A_CORE,
    "compiler/lowering/layout.py": "compiler/lowering/test_neuron.py",
    "compiler/lowering/words.py": ON_A_CORE,
    "compiler/memory/dram_layout.py": ON_A_CORE,
    "compiler/memory/parts.py": ON_A_CORE,
    "compiler/order/barriers.py": "compiler/order/test_hazards.py",
    "compiler/order/entry.py": "compiler/order/test_hazards.py",
    "compiler/order/timeline.py": "compiler/order/test_arrange.py",
    "compiler/order/touch.py": "compiler/order/test_hazards.py",
    "compiler/planning/blocks.py": ON_A_CORE,
    "compiler/planning/core/backward.py": ON_A_CORE,
    "compiler/planning/core/beside.py": ON_A_CORE,
    "compiler/planning/core/forward.py": ON_A_CORE,
    "compiler/planning/gradients.py": ON_A_CORE,
    "compiler/planning/image.py": ON_A_CORE,
    "compiler/planning/loss.py": ON_A_CORE,
    "compiler/planning/mesh/backward.py": ON_A_MESH,
    "compiler/planning/mesh/core_plan.py": ON_A_MESH,
    "compiler/planning/mesh/forward.py": ON_A_MESH,
    "compiler/planning/mesh/gradients.py": ON_A_MESH,
    "compiler/planning/mesh/places.py": ON_A_MESH,
    "compiler/planning/mesh/schedule.py": ON_A_MESH,
    "compiler/planning/mesh/slots.py": ON_A_MESH,
    "compiler/planning/mesh/update.py": ON_A_MESH,
    "compiler/planning/operations.py": ON_A_CORE,
    "compiler/planning/step.py": ON_A_CORE,
    "compiler/planning/update.py": ON_A_CORE,
    "compiler/planning/weights.py": ON_A_CORE,
    "device/model.py": "device/test_device.py",
    "device/rtl.py": "device/test_device.py",
    "network/network.py": "../sim/model/test_network.py",
    "training/checkpoint.py": TRAINING,
    "training/data/digits.py": TRAINING,
    "training/report.py": TRAINING,
    "training/settings.py": TRAINING,
    "training/timeline.py": TRAINING,
    "training/trainer.py": "device/test_device.py",
}
"""Files of backspike that share a test with others, and which, in ``tests/backspike``."""


def namesake(path: str, folder: str = "hw") -> Path:
    """The test that mirrors a file."""
    where = ROOT / "tests" / folder / path
    return where.with_name(f"test_{where.name}")


BACKSPIKE_FILES = sorted(
    str(path.relative_to(ROOT / "backspike"))
    for path in (ROOT / "backspike").rglob("*.py")
    if path.name != "__init__.py" and path.relative_to(ROOT).parts[1] not in ("hw", "sim")
)


def imported(test: Path) -> set[str]:
    """What a test imports, itself or by benches, by testbenches that it names, or from packages."""
    found, left = set(), [".".join(test.relative_to(ROOT).with_suffix("").parts)]
    while left:
        module = left.pop()
        path = ROOT / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")
        benches = module.startswith(("tests.", "scripts.", "backspike.sim.harness."))
        if module in found:
            continue
        found.add(module)
        if not path.exists() or not (benches or path.name == "__init__.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                left += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                left += [node.value] if node.value.startswith("tests.") else []
    return found


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        (folder, path)
        for folder, paths in (("hw", FILES), ("backspike", BACKSPIKE_FILES))
        for path in paths
        if namesake(path, folder).exists()
    ],
)
def test_a_test_imports_what_it_has_its_name_from(folder, path):
    module = f"{'backspike.hw' if folder == 'hw' else 'backspike'}.{path[:-3].replace('/', '.')}"
    module = f"backspike.hw.{PARTS[path]}" if path in PARTS else module
    test = namesake(path, folder)
    assert module in imported(test), f"{test} must import {module}"


@pytest.mark.parametrize("path", BACKSPIKE_FILES)
def test_each_file_of_backspike_has_a_test_beside_its_namesake_or_says_where(path):
    found = [namesake(path, "backspike").exists(), path in BACKSPIKE]
    assert sum(found) == 1, (
        f"backspike/{path} must have one test: {namesake(path, 'backspike')}, or a line above"
    )


@pytest.mark.parametrize("path", FILES)
def test_each_file_has_a_test_beside_its_namesake_or_says_where(path):
    said = [path in each for each in (NO_LOGIC, ELSEWHERE)]
    found = [namesake(path).exists(), *said]
    assert sum(found) == 1, f"hw/{path} must have one test: {namesake(path)}, or a line above"


def test_the_lists_name_what_there_is():
    listed = [*NO_LOGIC, *ELSEWHERE]
    assert set(listed) <= set(FILES), sorted(set(listed) - set(FILES))
    assert set(BACKSPIKE) <= set(BACKSPIKE_FILES), sorted(set(BACKSPIKE) - set(BACKSPIKE_FILES))
    for test in {f"backspike/{each}" for each in BACKSPIKE.values()}:
        assert (ROOT / "tests" / test).exists(), test
    for test in set(ELSEWHERE.values()):
        assert (ROOT / "tests" / test).exists(), test
