"""The units: the one table that hardware, simulator and compiler are made from.

A unit works beside the others of its sub-core, one instruction after the other. All that is known
of one without its hardware is its row here; what else a unit needs, ``docs/adding-a-unit.md``
tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from backspike.hw.isa.conv.command import ConvCommand
from backspike.hw.isa.conv.cycles import conv_cycles
from backspike.hw.isa.conv.instructions import bp_conv, fp_conv
from backspike.hw.isa.dma.command import DmaCommand
from backspike.hw.isa.dma.cycles import dma_cycles
from backspike.hw.isa.dma.instructions import dma_rd, dma_wr
from backspike.hw.isa.instruction import Instruction
from backspike.hw.isa.neuron.command import UpdateCommand
from backspike.hw.isa.neuron.cycles import grad_cycles, soma_cycles, update_cycles
from backspike.hw.isa.neuron.instructions import bp_bn, bp_grad, fp_bn, fp_soma, wu
from backspike.hw.isa.neuron.kinds import GRAD, SOMA
from backspike.hw.isa.neuron.vector_instructions import bp_vector, fp_vector
from backspike.hw.isa.noc.cycles import noc_cycles
from backspike.hw.isa.noc.instructions import noc_ctrl, noc_data
from backspike.hw.isa.operands import IsaShape
from backspike.hw.isa.registers import (
    UnitRegisters,
    copy_registers,
    element_registers,
    flat_registers,
)
from backspike.hw.isa.wg.command import WgCommand
from backspike.hw.isa.wg.cycles import wg_cycles
from backspike.hw.isa.wg.instructions import wg_conv
from backspike.hw.isa.work import Work

__all__ = [
    "INNER_ROUTES",
    "NONZERO",
    "OWN_ROUTES",
    "ROUTES",
    "SRAMS",
    "UNITS",
    "UNIT_REGISTERS",
    "UNIT_TABLE",
    "Unit",
    "command_of",
    "copy_port",
    "unit_title",
]

SRAMS = {
    "fp": ("s_in", "w", "conv_fp", "u", "s_out", "spike", "other"),
    "bp": ("du_next", "w", "conv_bp", "du", "u", "s", "dw", "other"),
}
"""SRAMs of each sub-core; the number of one is its place here."""
NONZERO = "bp.nonzero"
"""Which values of ``bp.du_next`` are not 0: bits kept beside it, which no instruction names."""
ROUTES = {
    "fp": (
        ("s_out", "fp.s_in"),
        ("s_out", "bp.s"),
        ("spike", "bp.s"),
        ("u", "bp.u"),
        ("conv_fp", "fp.conv_fp"),
    ),
    "bp": (("du", "bp.du_next"), ("w", "fp.w"), ("conv_bp", "bp.conv_bp")),
}
"""NOC_DATA: an SRAM of the own sub-core, and where to, by ``data_type``."""
INNER_ROUTES = {"fp": 4, "bp": 2}
"""The first so many of them are also there inside of the core: all but those of psums."""
OWN_ROUTES = {"fp": (1, 1, 2, 3), "bp": ()}
"""What a MULTICAST does besides: the inner route of each, by ``data_type``."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A row of the table.

    ``reads`` and ``writes`` tell which SRAM is behind each port of the engine, as the setting that
    gives its size, e.g. ``fp.s_in``.

    Raises
    ------
    ValueError
        If a port leads to an SRAM that there is not.
    """

    name: str
    instructions: Callable[[IsaShape], tuple[Instruction, ...]]
    """What it carries out, each with its opcode."""
    registers: UnitRegisters
    """What the decoder writes, and the command of the engine that this makes."""
    cycles: Callable[[Work], int]
    """About how many cycles an instruction takes: good enough to put them in order."""
    reads: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    computes: bool = False
    """Whether it sets statuses."""
    array: bool = False
    """Whether it is an array, which the other units work for."""
    inhibited: bool = False
    """Whether collected statuses keep it from writing: ``inhibit`` of its command."""
    tile_rows: tuple[str, ...] = ()
    """SRAMs whose rows of tiles it counts, of which a word holds ``array.weight_words``."""

    def __post_init__(self) -> None:
        known = {f"{subcore}.{sram}" for subcore, srams in SRAMS.items() for sram in srams}
        for port, sram in self.ports.items():
            if sram not in known | {NONZERO}:
                raise ValueError(
                    f"{port} of unit {self.name} must be a port to one of "
                    f"{', '.join(sorted(known))}, not to {sram}"
                )

    @property
    def ports(self) -> dict[str, str]:
        """The SRAM behind each port."""
        return {**self.reads, **self.writes}


def copy_port(sram: str) -> str:
    """Name of the copy engine's port to a destination, which may be in the other sub-core."""
    return sram.replace(".", "_")


def _movers(subcore: str) -> tuple[Unit, ...]:
    """The units that both sub-cores have: DMA, and what sub-cores give each other."""
    srams, routes, inner = SRAMS[subcore], ROUTES[subcore], INNER_ROUTES[subcore]
    cycles = partial(dma_cycles, srams=tuple(f"{subcore}.{sram}" for sram in srams))
    return (
        Unit(
            name="read",
            instructions=lambda shape: (dma_rd(0x09, shape, subcore, srams),),
            registers=flat_registers(DmaCommand),
            cycles=cycles,
            writes={f"{sram}_write": f"{subcore}.{sram}" for sram in srams},
        ),
        Unit(
            name="write",
            instructions=lambda shape: (dma_wr(0x0A, shape, subcore, srams),),
            registers=flat_registers(DmaCommand),
            cycles=cycles,
            reads={f"{sram}_read": f"{subcore}.{sram}" for sram in srams},
        ),
        Unit(
            name="noc",
            instructions=lambda shape: (
                noc_data(0x0B, shape, subcore, routes, inner=inner, own=OWN_ROUTES[subcore]),
                noc_ctrl(0x0C),
            ),
            registers=copy_registers(),
            cycles=partial(noc_cycles, sources=tuple(f"{subcore}.{here}" for here, _ in routes)),
            reads={f"{here}_read": f"{subcore}.{here}" for here, _ in routes},
            writes={f"{copy_port(there)}_write": there for _, there in routes[:inner]},
        ),
    )


def _rows(*units: Unit) -> dict[str, Unit]:
    return {unit.name: unit for unit in units}


UNIT_TABLE = {
    "fp": _rows(
        Unit(
            name="fp",
            instructions=lambda shape: (fp_conv(0x01, shape),),
            registers=flat_registers(ConvCommand),
            cycles=conv_cycles,
            reads={"s_in_read": "fp.s_in", "w_read": "fp.w", "conv_read": "fp.conv_fp"},
            writes={"conv_write": "fp.conv_fp"},
            computes=True,
            array=True,
        ),
        Unit(
            name="soma",
            instructions=lambda shape: (
                fp_soma(0x04, shape),
                fp_vector(0x06, shape),
                fp_bn(0x0D),
            ),
            registers=element_registers(SOMA),
            cycles=soma_cycles,
            reads={"conv_read": "fp.conv_fp", "u_read": "fp.u", "spike_read": "fp.spike"},
            writes={
                "conv_write": "fp.conv_fp",
                "u_write": "fp.u",
                "spike_write": "fp.spike",
                "s_out_write": "fp.s_out",
            },
            computes=True,
        ),
        *_movers("fp"),
    ),
    "bp": _rows(
        Unit(
            name="bp",
            instructions=lambda shape: (bp_conv(0x02, shape),),
            registers=flat_registers(ConvCommand),
            cycles=conv_cycles,
            reads={
                "nonzero_read": NONZERO,
                "du_read": "bp.du_next",
                "w_read": "bp.w",
                "fire_read": "bp.s",
                "conv_read": "bp.conv_bp",
            },
            writes={"conv_write": "bp.conv_bp"},
            computes=True,
            array=True,
        ),
        Unit(
            name="wg",
            instructions=lambda shape: (wg_conv(0x03, shape),),
            registers=flat_registers(WgCommand),
            cycles=wg_cycles,
            reads={"spike_read": "bp.s", "du_read": "bp.du_next", "dw_read": "bp.dw"},
            writes={"dw_write": "bp.dw"},
            computes=True,
            array=True,
        ),
        Unit(
            name="grad",
            instructions=lambda shape: (
                bp_grad(0x05, shape),
                bp_vector(0x07, shape),
                bp_bn(0x0E),
            ),
            registers=element_registers(GRAD),
            cycles=grad_cycles,
            reads={
                "conv_read": "bp.conv_bp",
                "u_read": "bp.u",
                "du_read": "bp.du",
                "s_read": "bp.s",
            },
            writes={"conv_write": "bp.conv_bp", "du_write": "bp.du", "s_write": "bp.s"},
            computes=True,
        ),
        Unit(
            name="wu",
            instructions=lambda shape: (wu(0x08, shape),),
            registers=flat_registers(UpdateCommand, without=("inhibit",)),
            cycles=update_cycles,
            reads={"dw_read": "bp.dw", "w_read": "bp.dw", "v_read": "bp.dw"},
            writes={"w_write": "bp.dw", "v_write": "bp.dw", "stored_write": "bp.w"},
            computes=True,
            inhibited=True,
            tile_rows=("bp.w",),
        ),
        *_movers("bp"),
    ),
}
"""The units of each sub-core, by name. A unit's number is its place: new ones go to the end."""
UNITS = {subcore: tuple(units) for subcore, units in UNIT_TABLE.items()}
"""Their names."""
UNIT_REGISTERS = {
    name: unit.registers for units in UNIT_TABLE.values() for name, unit in units.items()
}
"""Their registers, by name: those of units with one name are alike in both sub-cores."""


def unit_title(name: str) -> str:
    """What people call a unit of a core: ``FP array`` of ``fp_fp``, ``BP wu`` of ``bp_wu``."""
    subcore, unit = name.split("_", 1)
    return (
        f"{unit.upper()} array" if UNIT_TABLE[subcore][unit].array else f"{subcore.upper()} {unit}"
    )


def command_of(unit: str, registers: Mapping[str, int]) -> dict[str, Any]:
    """The fields of the command that registers make, modulo what each has room for."""
    bits = UNIT_REGISTERS[unit].bits
    return UNIT_REGISTERS[unit].expand(
        {name: value & ((1 << bits[name]) - 1) for name, value in registers.items()}
    )
