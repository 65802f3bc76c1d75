"""Without these, a network trained across cores in RTL could come out other than on one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from backspike.compiler.planning.mesh import plan_mesh
from backspike.hw.isa.table import UNITS
from backspike.hw.presets import load
from backspike.network import Layer
from backspike.sim.harness.chip import ChipBench
from backspike.sim.harness.mesh import LEAST_DRAM
from backspike.sim.harness.session import Request, Session
from tests.backspike.compiler.networks import Case, expect, random_weights
from tests.backspike.compiler.split import CHIP, CORES, split_by_inputs, split_by_outputs

SEED = 31
PERIODS_PS = (1499, 2000, 1500, 3237)
"""Of the networks' clock, where that of the cores takes 2000: 500:667, 1:1, 150:200, and one that
has no common multiple with it."""


def conv(m_size, **settings):
    """A layer that keeps the size of maps."""
    return Layer(m_size=m_size, kernel=(3, 3), padding=(1, 1, 1, 1), th_l=2**-10, **settings)


LAST = Layer(m_size=3, fully_connected=True)
FEW = (conv(5), conv(6, pool=2), conv(7), conv(4), LAST)


def conditions(rng, run):
    """DRAM and links between chips that wait at random, and a clock of the networks."""
    most = {"latency": 200, "spread": 256, "stall": 160, "delay": 60, "delay_stall": 100}
    drawn = {name: int(rng.integers(2, bound)) for name, bound in most.items()}
    period = PERIODS_PS[run] if run < len(PERIODS_PS) else int(rng.integers(700, 6000))
    return {**drawn, "seed": int(rng.integers(1, 1 << 16)), "noc_period_ps": period}


@dataclass(frozen=True, kw_only=True)
class Chips:
    """Chips that are joined, and a network that is trained on them."""

    preset: str = "tiny"
    columns: int = 2
    rows: int = 2
    chips: tuple[int, int] = (1, 1)
    settings: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = FEW
    size: tuple[int, int, int] = (6, 6, 3)
    batch: int = 3
    steps: int = 3
    planes: int = 0
    """Bit planes of the input, which then is the same at all steps; 0 for spikes."""
    runs: int = 1
    """Each with a clock of its own for the networks."""
    interrupted: tuple[int, ...] = ()
    """Cycles after which such a run more is broken off by a reset, to be begun again."""
    large: bool = False
    """Whether weights are so large that gradients reach the first of many layers."""

    def config(self, chips=(1, 1)):
        """Of a chip; or of one that is as large as all of them."""
        mesh = (f"mesh.columns={self.columns * chips[0]}", f"mesh.rows={self.rows * chips[1]}")
        return load(self.preset, [*mesh, *self.settings])

    def train(self) -> None:
        """A batch in RTL, several times, against the model."""
        rng = np.random.default_rng(SEED)
        case = Case.random(
            rng,
            self.config(self.chips),
            self.layers,
            self.size,
            batch=self.batch,
            steps=self.steps,
            planes=self.planes,
        )
        if self.large:
            case.weights, case.loss_scale = random_weights(rng, case.network, 3.0), 2.0**-6
        plan = plan_mesh(case.network, case.config, self.batch, input_steps=case.x.shape[0])
        assert not self.large or len(plan.images) == case.config.mesh.cores
        record = case.step()
        assert record.updated and all(layer.du.any() for layer in record.layers)
        drams = case.drams(plan)
        bench = ChipBench(self.config(), dram_bytes=plan.dram_bytes, chips=self.chips)
        with Session(bench) as session:
            for number, after in enumerate((*(0,) * self.runs, *self.interrupted)):
                drawn = conditions(rng, number)
                run = session.run(
                    Request(
                        drams=drams,
                        programs=plan.addresses,
                        connections=plan.connections,
                        timeout=1 << 20,
                        interrupted=after,
                        **drawn,
                    )
                )
                speed = run.cycles / run.seconds
                print(f"{drawn}, {after=}: {run.cycles} cycles, {speed:.0f} Hz", flush=True)
                expect(plan, run.drams, run.outcomes, record)
                spans = {
                    unit: np.concatenate([core[unit] for core in run.activity.values()])
                    for unit in ("fp_fp", "bp_bp", "bp_wg")
                }
                # FP of samples goes on while BP is at those before, and so does BP beside WG.
                assert spans["bp_bp"][:, 0].min() < spans["fp_fp"][:, 1].max()
                assert spans["bp_wg"][:, 0].min() < spans["bp_bp"][:, 1].max()


CASES = {
    "square": Chips(planes=2, runs=4, interrupted=(9000, 17000)),
    "stress": Chips(runs=30, interrupted=tuple(range(1000, 25000, 3001))),
    "joined": Chips(
        chips=(2, 1), settings=("noc.link_credits=16",), runs=6, interrupted=(9000, 17000)
    ),
    "joined-four": Chips(
        rows=1, chips=(2, 2), settings=("noc.link_credits=8",), runs=4, interrupted=(9000,)
    ),
    "shared": Chips(settings=("dram.shared=1",), runs=4, interrupted=(9000,)),
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
        # BP begins when the first sample has passed all cores, its loss and Grad. Meanwhile the
        # other samples leave the last core one after the other: of two, the last one did so 1,572
        # cycles before BP began, so it takes more for FP to go on beside BP.
        batch=5,
        steps=2,
        large=True,
    ),
    "full-square": Chips(
        preset="vcu128",
        layers=(conv(21), conv(40, pool=2), conv(33), conv(16), LAST),
        size=(12, 12, 5),
        runs=2,
    ),
    "full-2x10": Chips(
        preset="vcu128",
        rows=10,
        layers=(*(conv(33) for _ in range(18)), conv(17, stride=(2, 2)), LAST),
        size=(6, 6, 33),
        steps=2,
        large=True,
    ),
}


def test_layers_split_over_cores():
    """By inputs, psums going on from core to core either way, and by outputs."""
    with Session(ChipBench(CHIP, dram_bytes=LEAST_DRAM)) as session:
        for subcore in UNITS:
            made = [split_by_inputs(subcore, cores) for cores in (CORES, CORES[::-1])]
            for split, place in (*made, split_by_outputs(subcore)):
                drams, programs = split.load()
                connections = split.wiring.connections
                run = session.run(Request(drams=drams, programs=programs, connections=connections))
                split.expect(place, run.drams, run.outcomes)


@pytest.mark.parametrize(
    "name",
    ["square", *(pytest.param(each, marks=pytest.mark.slow) for each in CASES if each != "square")],
)
def test_training_across_cores(name):
    print(f"{SEED=}")
    CASES[name].train()
