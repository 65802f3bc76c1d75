"""What a test of this folder tells the cocotb testbench that it launches."""

from __future__ import annotations

from dataclasses import dataclass

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.config import ChipConfig
from backspike.hw.neuron.grad import GradEngine
from backspike.hw.neuron.soma import SomaEngine
from backspike.hw.neuron.update import UpdateEngine
from tests.sim.model.machine.maps import chip

ENGINES = {"soma": SomaEngine, "grad": GradEngine, "update": UpdateEngine}
WORDS = {"spike": 1024, "value": 2048, "psum": 2048, "weight": 64, "gradient": 64}
"""Words of the memories of each kind."""
MEMORIES = {
    "soma": {"conv": "fp.conv_fp", "u": "fp.u", "spike": "fp.spike", "s_out": "fp.s_out"},
    "grad": {"conv": "bp.conv_bp", "u": "bp.u", "du": "bp.du", "s": "bp.s"},
}
"""The SRAMs of a core that the memories of the benches stand for."""
UPDATE_WORDS = 64
"""Words of each memory of the update engine's bench."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """An engine, how large it is, and how much of it is tested."""

    name: str
    lanes: int
    pixels: int = 0
    pipeline_lanes: int = 0
    update_lanes: int = 0
    format: Float = BINARY16
    seed: int
    brief: bool = False

    def engine(self):
        """A new engine."""
        sizes = {"format": self.format, "lanes": self.lanes}
        if self.name == "update":
            return UpdateEngine(**sizes, update_lanes=self.update_lanes)
        return ENGINES[self.name](**sizes, pipeline_lanes=self.pipeline_lanes, pixels=self.pixels)

    @property
    def config(self) -> ChipConfig:
        """A chip with such an engine."""
        return chip(
            "bench",
            self.format,
            words=WORDS,
            lanes=self.lanes,
            pipeline_lanes=self.pipeline_lanes,
            spike_pixels=self.pixels,
        )

    @property
    def depths(self) -> dict[str, int]:
        """Words of each memory of the bench."""
        if self.name == "update":
            return dict.fromkeys(("dw", "w", "v", "stored"), UPDATE_WORDS)
        srams = self.config.srams
        return {memory: srams[sram].words for memory, sram in MEMORIES[self.name].items()}
