"""What a launched cocotb testbench of this folder works on, told through the environment."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass

from hw.arith.format import FP16, Float
from hw.neuron.grad import GradEngine
from hw.neuron.soma import SomaEngine
from hw.neuron.update import UpdateEngine
from tests.hw.neuron.maps import WORDS

ENGINES = {"soma": SomaEngine, "grad": GradEngine, "update": UpdateEngine}
UPDATE_WORDS = 64
"""Words of each memory of the update engine's bench."""
VARIABLE = "BENCH_SETTINGS"


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """An engine, how large it is, and how much of it is tested."""

    name: str
    lanes: int
    pixels: int = 0
    pipeline_lanes: int = 0
    update_lanes: int = 0
    format: Float = FP16
    seed: int
    brief: bool = False

    def engine(self):
        """A new engine."""
        sizes = {"format": self.format, "lanes": self.lanes}
        if self.name == "update":
            return UpdateEngine(**sizes, update_lanes=self.update_lanes)
        return ENGINES[self.name](**sizes, pipeline_lanes=self.pipeline_lanes, pixels=self.pixels)

    @property
    def depths(self) -> dict[str, int]:
        """Words of each memory of the bench."""
        value, bits = WORDS["value"], WORDS["bits"]
        return {
            "soma": {"conv": value, "u": value, "spike": bits, "s_out": bits},
            "grad": {"conv": value, "u": value, "du": value, "s": bits},
            "update": dict.fromkeys(("dw", "w", "v", "stored"), UPDATE_WORDS),
        }[self.name]

    def environment(self) -> dict[str, str]:
        """The settings for :func:`bench_settings`."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}


def bench_settings() -> BenchSettings:
    """The settings that the test which launched this simulation made."""
    fields = json.loads(os.environ[VARIABLE])
    return BenchSettings(**fields | {"format": Float(**fields["format"])})
