"""Without these, the row of a unit could contradict its engine, its instructions or its model."""

from __future__ import annotations

import dataclasses

import pytest
from amaranth.lib import data

from backspike.hw.core import subcore as hardware
from backspike.hw.isa import table
from backspike.hw.isa.instruction import Access
from backspike.hw.isa.table import IsaShape, instruction_set
from backspike.hw.isa.units import NONZERO, UNIT_REGISTERS, UNIT_TABLE, UNITS
from backspike.hw.memory.port import ReadPort, WritePort
from backspike.hw.presets import load
from backspike.sim.model.machine.core import MODELS

CONFIG = load("tiny", ["array.weight_words=2"])
SHAPE = IsaShape.from_config(CONFIG)
MOVERS = ("read", "write", "noc")
ROWS = [(subcore, unit) for subcore, units in UNIT_TABLE.items() for unit in units.values()]
NAMES = [f"{subcore}.{unit.name}" for subcore, unit in ROWS]
every_unit = pytest.mark.parametrize(("subcore", "unit"), ROWS, ids=NAMES)


@pytest.fixture(scope="module")
def engines():
    return {subcore: hardware._engines(CONFIG, subcore) for subcore in UNITS}


def instructions_of(subcore, unit):
    return [each for each in instruction_set(SHAPE, subcore).values() if each.unit == unit.name]


@every_unit
def test_a_unit_has_an_engine_whose_ports_are_as_wide_as_the_srams_behind_them(
    subcore, unit, engines
):
    engine = engines[subcore][unit.name]
    assert set(engine.memory_ports) == set(unit.ports)
    for name, sram in unit.ports.items():
        port = engine.signature.members[name].signature
        assert isinstance(port, ReadPort if name in unit.reads else WritePort)
        if sram == NONZERO:
            continue
        rows = CONFIG.array.weight_words if sram in unit.tile_rows else 1
        assert port.members["data"].shape * rows == CONFIG.srams[sram].width


@every_unit
def test_the_engine_takes_the_command_that_the_registers_make(subcore, unit, engines):
    command = engines[subcore][unit.name].signature.members["command"].shape
    if unit.name != "noc":  # whose command is for two components: a copy is a part of it
        assert command is unit.registers.command


@every_unit
def test_instructions_write_registers_that_their_unit_has(subcore, unit):
    instructions = instructions_of(subcore, unit)
    assert instructions
    for each in instructions:
        assert set(each.registers or {}) <= set(unit.registers.bits)


@every_unit
def test_instructions_touch_what_the_ports_of_their_unit_reach(subcore, unit):
    if unit.name == "noc":
        return  # it reaches SRAMs of other cores, too
    for each in instructions_of(subcore, unit):
        for step in each.steps:
            if isinstance(step, Access):
                ports = unit.writes if step.writes else unit.reads
                assert step.sram in ports.values(), (each.mnemonic, step.sram)


@every_unit
def test_a_unit_that_computes_has_a_model(subcore, unit):
    assert unit.computes == (unit.name not in MOVERS)
    assert (unit.name in MODELS) == unit.computes


@every_unit
def test_a_unit_that_statuses_hold_back_has_it_in_its_command(subcore, unit):
    fields = {name for name, _ in data.Layout.cast(unit.registers.command)}
    assert unit.inhibited == ("inhibit" in fields)
    assert "inhibit" not in unit.registers.bits


def test_units_with_one_name_have_the_same_registers_in_both_subcores():
    for _, unit in ROWS:
        assert unit.registers.bits == UNIT_REGISTERS[unit.name].bits


def with_row(monkeypatch, unit, *modules):
    rows = {**UNIT_TABLE, "fp": {**UNIT_TABLE["fp"], unit.name: unit}}
    for module in modules:
        monkeypatch.setattr(module, "UNIT_TABLE", rows)


def test_a_port_to_no_sram_is_refused():
    with pytest.raises(
        ValueError, match=r"^u_read of unit soma must be a port to one of .*, not to fp\.v$"
    ):
        dataclasses.replace(UNIT_TABLE["fp"]["soma"], reads={"u_read": "fp.v"})


def test_a_row_without_an_engine_is_refused(monkeypatch):
    with_row(monkeypatch, dataclasses.replace(UNIT_TABLE["fp"]["soma"], name="fill"), hardware)
    with pytest.raises(
        ValueError, match="^unit fill must have an engine in ENGINES, which it has not$"
    ):
        hardware._engines(CONFIG, "fp")


def test_a_row_with_other_ports_than_the_engine_is_refused(monkeypatch):
    with_row(monkeypatch, dataclasses.replace(UNIT_TABLE["fp"]["fp"], writes={}), hardware)
    with pytest.raises(
        ValueError,
        match="^the row of unit fp must have the ports of its engine, s_in_read, w_read, "
        "conv_read, conv_write, not s_in_read, w_read, conv_read$",
    ):
        hardware._engines(CONFIG, "fp")


@pytest.mark.parametrize(
    ("name", "opcode", "message"),
    [
        ("fill", 0x01, "^FP_CONV must be for unit fill, in whose row it stands, not for fp$"),
        ("fp", 0x10, "^LOOP must have an opcode of its own, not 0x10, which FP_CONV has$"),
    ],
)
def test_an_instruction_of_another_unit_or_opcode_is_refused(monkeypatch, name, opcode, message):
    row = UNIT_TABLE["fp"]["fp"]
    (instruction,) = row.instructions(SHAPE)
    changed = dataclasses.replace(instruction, opcode=opcode)
    with_row(
        monkeypatch,
        dataclasses.replace(row, name=name, instructions=lambda shape: (changed,)),
        table,
    )
    with pytest.raises(ValueError, match=message):
        instruction_set.__wrapped__(SHAPE, "fp")
