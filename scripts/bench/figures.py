"""All the figures, each from the module that measures it."""

from __future__ import annotations

from itertools import chain

from scripts.bench import area, chip, clock, core, engines, network, training, verilog
from scripts.bench.figure import Figure

__all__ = ["FIGURES"]

MODULES = (engines, area, clock, core, network, chip, verilog, training)

FIGURES: dict[str, Figure] = {
    figure.name: figure for figure in chain.from_iterable(each.FIGURES for each in MODULES)
}
"""Every figure by name, in the order in which they are printed."""
