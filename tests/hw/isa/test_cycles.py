"""Without these, instructions are put in an order that suits other cycles than they take."""

from __future__ import annotations

import pytest

from backspike.compiler.lowering.convolution import ConvLayer, bp_operands, fp_operands
from backspike.compiler.lowering.gradient import wg_operands
from backspike.compiler.lowering.layout import Layout
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.isa.table import SRAMS
from backspike.hw.isa.units import UNIT_TABLE
from backspike.hw.isa.work import Work
from backspike.hw.presets import load

PAPER = load("paper")
SHAPE = EngineShape.from_config(PAPER)
U = SRAMS["fp"].index("u")


def cycles_of(subcore, unit, operands):
    """Of an instruction of a unit, all of whose data are dense."""
    return UNIT_TABLE[subcore][unit].cycles(Work(PAPER, operands))


def layer(c_tiles, m_tiles, **settings):
    """One that keeps the size of 15 x 15 pixels."""
    return ConvLayer(
        h=15,
        w=15,
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        c_tiles=c_tiles,
        m_tiles=m_tiles,
        **settings,
    )


# Cycles in which engines of the vcu128 were at work in the dense batch of scripts/bench/chip.py.
@pytest.mark.parametrize(
    ("c_tiles", "m_tiles", "cycles"), [(2, 2, 7765), (1, 2, 3856), (2, 1, 3999)]
)
def test_convolutions(c_tiles, m_tiles, cycles):
    forward = fp_operands(
        layer(c_tiles, m_tiles), SHAPE, spikes=Layout(), weights=0, psums=Layout()
    )
    assert cycles_of("fp", "fp", forward) == pytest.approx(cycles, rel=0.002)
    (backward,) = bp_operands(
        layer(m_tiles, c_tiles), SHAPE, du=Layout(), weights=0, psums=Layout()
    )
    assert cycles_of("bp", "bp", backward) == pytest.approx(cycles, rel=0.002)


def test_gradients():
    operands = wg_operands(
        layer(1, 1, samples=2, steps=2), lanes=16, pixels=16, spikes=Layout(), du=Layout(), dw=0
    )
    assert cycles_of("bp", "wg", operands) == pytest.approx(7567, rel=0.002)


@pytest.mark.parametrize(
    ("unit", "operands", "cycles"),
    [
        ("fp.soma", {"samples": 1, "tiles": 2, "window_rows": 15, "window_columns": 15}, 926),
        ("bp.grad", {"samples": 1, "tiles": 2, "window_rows": 15, "window_columns": 15}, 936),
        ("fp.write", {"sram": U, "rows": 1, "words": 450}, 496),
        ("fp.noc", {"flow_type": 1, "data_type": 0, "rows": 1, "words": 450}, 499),
        ("fp.noc", {"flow_type": 0}, 49),
        ("bp.wu", {"words": 24}, 434),
    ],
)
def test_whatever_else_there_is(unit, operands, cycles):
    subcore, name = unit.split(".")
    assert cycles_of(subcore, name, operands) == pytest.approx(cycles, rel=0.002)


def test_what_lies_in_the_padding_takes_no_time():
    """Of 15 rows and columns, three positions of a kernel meet 14, 15 and 14."""
    operands = wg_operands(layer(1, 1), lanes=16, pixels=16, spikes=Layout(), du=Layout(), dw=0)
    whole = wg_operands(
        ConvLayer(h=17, w=17, kernel=(3, 3), c_tiles=1, m_tiles=1),
        lanes=16,
        pixels=16,
        spikes=Layout(),
        du=Layout(),
        dw=0,
    )
    cycles = [cycles_of("bp", "wg", each) for each in (operands, whole)]
    assert cycles[1] - cycles[0] == (3 * 15) ** 2 - (14 + 15 + 14) ** 2
