"""Without these, instructions are put in an order that suits other cycles than they take."""

from __future__ import annotations

import pytest

from backspike.compiler.lowering.convolution import ConvLayer, bp_operands, fp_operands
from backspike.compiler.lowering.gradient import wg_operands
from backspike.compiler.lowering.layout import Layout
from backspike.compiler.order.cycles import estimate
from backspike.hw.isa.conv.shape import EngineShape
from backspike.hw.presets import load

PAPER = load("paper")
SHAPE = EngineShape.from_config(PAPER)
DENSE = {"FP_CONV": 1.0, "BP_CONV": 1.0, "WG_CONV": 1.0}


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
    assert estimate(PAPER, "FP_CONV", forward, density=DENSE) == pytest.approx(cycles, rel=0.002)
    (backward,) = bp_operands(
        layer(m_tiles, c_tiles), SHAPE, du=Layout(), weights=0, psums=Layout()
    )
    assert estimate(PAPER, "BP_CONV", backward, density=DENSE) == pytest.approx(cycles, rel=0.002)


def test_gradients():
    operands = wg_operands(
        layer(1, 1, samples=2, steps=2), lanes=16, pixels=16, spikes=Layout(), du=Layout(), dw=0
    )
    assert estimate(PAPER, "WG_CONV", operands, density=DENSE) == pytest.approx(7567, rel=0.002)


@pytest.mark.parametrize(
    ("mnemonic", "operands", "cycles"),
    [
        ("FP_SOMA", {"samples": 1, "tiles": 2, "window_rows": 15, "window_columns": 15}, 926),
        ("BP_GRAD", {"samples": 1, "tiles": 2, "window_rows": 15, "window_columns": 15}, 936),
        ("DMA_WR", {"rows": 1, "words": 450}, 496),
        ("NOC_DATA", {"flow_type": 1, "rows": 1, "words": 450}, 499),
        ("WU", {"words": 24}, 434),
    ],
)
def test_whatever_else_there_is(mnemonic, operands, cycles):
    width = 32 * (mnemonic in ("DMA_WR", "NOC_DATA"))
    assert estimate(PAPER, mnemonic, operands, width) == pytest.approx(cycles, rel=0.002)


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
    cycles = [estimate(PAPER, "WG_CONV", each, density=DENSE) for each in (operands, whole)]
    assert cycles[1] - cycles[0] == (3 * 15) ** 2 - (14 + 15 + 14) ** 2
