"""The hardware of one core, as a list: what `make verilog` emits and what tests go through."""

from __future__ import annotations

from hw.bp.engine import BpEngine
from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.fp.engine import FpEngine
from hw.memory.nonzero import NonzeroMap
from hw.memory.sram import Sram
from hw.neuron.grad import GradEngine
from hw.neuron.soma import SomaEngine
from hw.neuron.update import UpdateEngine
from hw.wg.engine import WgEngine

__all__ = ["ENGINES", "engines", "memories"]

ENGINES = (FpEngine, BpEngine, WgEngine, SomaEngine, GradEngine, UpdateEngine)
"""Classes of the engines, each made with ``from_config``."""


def memories(config: ChipConfig) -> list[EmitOnce]:
    """One memory for each different kind of SRAM bank of a core, and what follows du_next."""
    kinds = {(size.bank_words, size.width, size.granules): None for size in config.srams.values()}
    du_next = config.srams["bp.du_next"]
    return [
        *(Sram(depth=words, width=width, granules=granules) for words, width, granules in kinds),
        NonzeroMap(
            depth=du_next.words,
            pixels=config.array.spike_pixels,
            lanes=config.array.lanes,
            width=config.format.width,
        ),
    ]


def engines(config: ChipConfig) -> list[EmitOnce]:
    """Every engine of one core, and its memories."""
    return [*(engine.from_config(config) for engine in ENGINES), *memories(config)]
