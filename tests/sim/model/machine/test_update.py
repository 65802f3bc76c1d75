"""WU on memories against the model, bit for bit in every SRAM."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.sim.model import Status, UpdateRule, encode, update
from backspike.sim.model.machine import run_update
from tests.sim.model.machine.maps import CONFIGS, garbage

SEED = 4401
RULES = [
    UpdateRule(lr=0.1, mu=0.9),
    UpdateRule(lr=0.05, mu=0.9, wd=1e-4, k=1 / 96),
    UpdateRule(lr=1e30, mu=0.0, wd=-1e-40, k=2.0**-20),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_update_equals_model(config):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    lanes, rows = config.array.lanes, config.array.weight_words
    for case in range(24):
        memories = garbage(random, config)
        binary32 = memories.words("bp.dw").view(np.float32)
        if case % 3 < 2:  # numbers of a network's size, and else anything
            binary32[:] = random.normal(0, 1, binary32.shape)
        words, rule = int(random.integers(1, 300)), RULES[case % len(RULES)]
        places = random.permutation(len(binary32) // 300)[:3] * 300
        dw, w, v = (int(place) for place in places)
        stored = int(random.integers(rows * len(memories.raw["bp.w"]) - words + 1))

        status, raised = Status(), Status()
        expected = memories.copy()
        inhibit = case % 7 == 6
        if not inhibit:
            old = {name: binary32[at : at + words] for name, at in (("w", w), ("v", v), ("dw", dw))}
            made = update(**old, rule=rule, status=status, format=config.format)
            after = expected.words("bp.dw").view(np.float32)
            after[w : w + words], after[v : v + words] = made.w, made.v
            codes = encode(made.w_stored, config.format)
            for i, row in enumerate(codes, stored):
                lane = i % rows * lanes
                expected.words("bp.w")[i // rows, lane : lane + lanes] = row
        scalars = {
            name: int(np.float32(getattr(rule, name)).view(np.uint32))
            for name in ("k", "wd", "mu", "lr")
        }
        command = {"words": words, "dw": dw, "w": w, "v": v, "stored": stored, **scalars}
        command["inhibit"] = int(inhibit)
        run_update(command, memories, config, raised)
        assert memories.differences(expected) == [], f"case {case}"
        assert raised == status, f"case {case}"
