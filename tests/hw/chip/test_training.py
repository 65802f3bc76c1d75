"""Without these, a network trained across cores in RTL could come out other than on one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from hw.isa import UNITS
from hw.presets import load
from sim.harness.session import ChipRequest, ChipSession
from sim.model.network import Layer
from tests.toolchain.networks import Case, expect_mesh, random_weights
from tests.toolchain.split import CHIP, CORES, split_by_inputs, split_by_outputs
from toolchain.mesh import plan_mesh

SEED = 31
CONDITIONS = (
    # Latency and stalls of DRAM, delay and stalls of links between chips, clock of the networks:
    # 667:500, 1:1, 200:150, and one that has no common multiple with that of the cores.
    {"latency": 40, "noc_period_ps": 1499},
    {"latency": 2, "noc_period_ps": 2000, "delay": 2},
    {"latency": 150, "stall": 150, "noc_period_ps": 1500, "delay": 30, "delay_stall": 90},
    {"latency": 60, "stall": 60, "noc_period_ps": 3237, "delay": 9, "delay_stall": 20},
)


def conv(m_size, **settings):
    """A layer that keeps the size of maps."""
    return Layer(m_size=m_size, kernel=(3, 3), padding=(1, 1, 1, 1), th_l=2**-10, **settings)


LAST = Layer(m_size=3, fully_connected=True)
FEW = (conv(5), conv(6, pool=2), conv(7), conv(4), LAST)


@dataclass(frozen=True, kw_only=True)
class Chips:
    """Chips that are joined from west to east, and a network that is trained on them."""

    columns: int = 2
    rows: int = 2
    chips: int = 1
    settings: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = FEW
    size: tuple[int, int, int] = (6, 6, 3)
    batch: int = 3
    steps: int = 3
    conditions: tuple[dict[str, int], ...] = field(default=CONDITIONS[:1])
    large: bool = False
    """Whether weights are so large that gradients reach the first of many layers."""

    def config(self, chips: int = 1):
        """Of a chip; or of one that is as large as all of them."""
        mesh = (f"mesh.columns={self.columns * chips}", f"mesh.rows={self.rows}")
        return load("tiny", [*mesh, *self.settings])

    def train(self) -> None:
        """A batch in RTL, under each of the conditions, against the model."""
        rng = np.random.default_rng(SEED)
        case = Case.random(
            rng,
            self.config(self.chips),
            self.layers,
            self.size,
            batch=self.batch,
            steps=self.steps,
            planes=0,
        )
        if self.large:
            case.weights, case.loss_scale = random_weights(rng, case.network, 3.0), 1.0
        plan = plan_mesh(case.network, case.config, self.batch, input_steps=case.x.shape[0])
        record = case.step()
        assert record.updated and all(layer.du.any() for layer in record.layers)
        drams = plan.drams(case.weights, case.x, case.targets, case.rule, case.loss_scale)
        size = max(map(len, drams.values()))
        with ChipSession(self.config(), dram_bytes=size, chips=self.chips) as session:
            for conditions in self.conditions:
                run = session.run(
                    ChipRequest(
                        drams=drams,
                        programs=plan.addresses,
                        connections=plan.connections,
                        timeout=1 << 18,
                        **conditions,
                    )
                )
                print(f"{conditions}: {run.cycles} cycles, {run.cycles / run.seconds:.0f} Hz")
                expect_mesh(plan, run.drams, run.outcomes, record)


CASES = {
    # The last run is broken off by a reset and begun again.
    "square": Chips(conditions=(*CONDITIONS, {"interrupted": 9000}, {"interrupted": 17000})),
    "joined": Chips(chips=2, settings=("noc.link_credits=16",), conditions=CONDITIONS[1:]),
    "shared": Chips(settings=("dram.shared=1",), conditions=CONDITIONS[2:3]),
    "2x10": Chips(
        rows=10,
        layers=(*(conv(4) for _ in range(18)), conv(3, stride=(2, 2)), LAST),
        size=(5, 5, 3),
        steps=2,
        large=True,
    ),
    "8x4": Chips(
        columns=8,
        rows=4,
        layers=(*(conv(4) for _ in range(30)), conv(3, stride=(2, 2)), LAST),
        size=(5, 5, 3),
        batch=2,
        steps=2,
        large=True,
    ),
}


def test_layers_split_over_cores():
    """By inputs, psums going on from core to core either way, and by outputs."""
    with ChipSession(CHIP, dram_bytes=1 << 21) as session:
        for subcore in UNITS:
            made = [split_by_inputs(subcore, cores) for cores in (CORES, CORES[::-1])]
            for split, place in (*made, split_by_outputs(subcore)):
                drams, programs = split.load()
                connections = split.wiring.connections
                run = session.run(
                    ChipRequest(drams=drams, programs=programs, connections=connections)
                )
                split.expect(place, run.drams, run.outcomes)


@pytest.mark.parametrize(
    "name",
    ["square", *(pytest.param(each, marks=pytest.mark.slow) for each in CASES if each != "square")],
)
def test_training_across_cores(name):
    print(f"{SEED=}")
    CASES[name].train()
