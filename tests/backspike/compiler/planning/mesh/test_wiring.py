"""Without these, a layer split over cores could have other bits than one that is not."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.sim.model.machine.chip import ChipModel
from tests.backspike.compiler.split import CHIP, CORES, split_by_inputs, split_by_outputs


def check(split, place):
    """The model of the chip, in two orders."""
    for order in (None, np.random.default_rng(2).shuffle):
        drams, programs = split.load()
        chip = ChipModel(CHIP, drams, connections=split.wiring.connections, order=order)
        split.expect(place, drams, chip.run(programs))


@pytest.mark.parametrize("cores", [CORES[:2], CORES, CORES[::-1]])
@pytest.mark.parametrize("subcore", ["fp", "bp"])
def test_by_inputs(subcore, cores):
    check(*split_by_inputs(subcore, cores))


@pytest.mark.parametrize("subcore", ["fp", "bp"])
def test_by_outputs(subcore):
    check(*split_by_outputs(subcore))
