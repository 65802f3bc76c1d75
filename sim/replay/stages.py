"""The stages of a training step: which engine runs each, in which memories, with which jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hw.bp.engine import BpEngine
from hw.component import EmitOnce
from hw.config import ChipConfig
from hw.fp.engine import FpEngine
from hw.neuron.grad import GradEngine
from hw.neuron.soma import SomaEngine
from hw.neuron.update import UpdateEngine
from hw.wg.engine import WgEngine
from sim.harness.bench import EngineBench
from sim.replay.convolutions import bp_jobs, fp_jobs, wg_jobs
from sim.replay.elementwise import DRAM_WORDS, grad_jobs, soma_jobs, update_jobs
from sim.replay.job import Job, Scene

__all__ = ["STAGES", "Stage"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage; ``memories`` names the SRAM of the configuration behind each of the engine's."""

    engine: type[EmitOnce]
    memories: dict[str, str]
    jobs: Callable[[Scene], Iterator[Job]]

    def depths(self, config: ChipConfig) -> dict[str, int]:
        """Words of each memory."""
        depths = {}
        for memory, sram in self.memories.items():
            depths[memory] = config.srams[sram].words if sram else DRAM_WORDS
            if memory == "nonzero":
                depths[memory] = -(-depths[memory] // config.array.spike_pixels)
        return depths

    def bench(self, config: ChipConfig) -> EngineBench:
        """The engine of a core, with its memories."""
        return EngineBench(self.engine.from_config(config), self.depths(config))


STAGES = {
    "FP": Stage(
        engine=FpEngine,
        memories={"s_in": "fp.s_in", "w": "fp.w", "conv": "fp.conv_fp"},
        jobs=fp_jobs,
    ),
    "Soma": Stage(
        engine=SomaEngine,
        memories={"conv": "fp.conv_fp", "u": "fp.u", "spike": "fp.spike", "s_out": "fp.s_out"},
        jobs=soma_jobs,
    ),
    "BP": Stage(
        engine=BpEngine,
        memories={
            "nonzero": "bp.du_next",
            "du": "bp.du_next",
            "w": "bp.w",
            "fire": "bp.s",
            "conv": "bp.conv_bp",
        },
        jobs=bp_jobs,
    ),
    "Grad": Stage(
        engine=GradEngine,
        memories={"conv": "bp.conv_bp", "du": "bp.du", "u": "bp.u", "s": "bp.s"},
        jobs=grad_jobs,
    ),
    "WG": Stage(
        engine=WgEngine,
        memories={"spike": "bp.s", "du": "bp.du_next", "dw": "bp.dw"},
        jobs=wg_jobs,
    ),
    "WU": Stage(
        engine=UpdateEngine,
        memories={"dw": "", "w": "", "v": "", "stored": ""},
        jobs=update_jobs,
    ),
}
"""By name, in the order of a step."""
