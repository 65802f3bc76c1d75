"""What is measured of training on real data: mostly what the last ``make train`` left."""

from __future__ import annotations

import csv
import itertools
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

from backspike.hw.presets import load
from backspike.training.settings import TrainingSettings
from backspike.training.training import Training
from scripts.bench.engines import ARRAYS
from scripts.bench.figure import Figure, NotMeasured

__all__ = ["FIGURES", "measure_training_step"]

TRAINED = Path("build/train/epochs.csv")
"""Where ``make train`` leaves the accuracy of every epoch."""
CORE_STEPS = Path("build/train/core.json")
"""Where it leaves what the training steps that ran in RTL counted."""


def _accuracy() -> float:
    if not TRAINED.exists():
        raise NotMeasured(f"there is no {TRAINED}: run `make train` first")
    with TRAINED.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = TrainingSettings().epochs
    if len(rows) != epochs:
        raise NotMeasured(f"{TRAINED} must be of {epochs} epochs, not {len(rows)}: `make train`")
    return 100 * float(rows[-1]["test_accuracy"])


def _core_steps() -> Any:
    if not CORE_STEPS.exists():
        raise NotMeasured(f"there is no {CORE_STEPS}: run `make train` first")
    return json.loads(CORE_STEPS.read_text(encoding="utf-8"))


def _values_differ() -> float:
    return sum(sum(step["differ"].values()) for step in _core_steps())


def _speedup(engine: str) -> float:
    counts = [
        units[ARRAYS[engine]] for step in _core_steps() for units in step["counters"].values()
    ]
    entered = sum(each["busy"] for each in counts)
    return 1 + sum(each["skipped"] for each in counts) / entered


def measure_training_step(count: int = 15) -> float:
    """Seconds of a training step of batch 32, the median of ``count`` after three others."""
    training = Training.start(load("paper"), TrainingSettings())
    seconds = []
    for step in itertools.islice(training.epoch_steps(0), count + 3):
        began = time.perf_counter()
        step.take(training.network, training.weights)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[3:])


FIGURES = (
    Figure(
        name="trained_values_differ",
        what="values that differ between RTL and model in the last `make train`",
        unit="values",
        measure=_values_differ,
        at_most=0,
        make="make train",
    ),
    Figure(
        name="training_step_seconds",
        what="a training step of the model, batch 32",
        unit="s",
        measure=measure_training_step,
        at_most=0.25,
    ),
    Figure(
        name="digits_accuracy",
        what="test accuracy of the last `make train` (binary32 in PyTorch: 97.6)",
        unit="%",
        measure=_accuracy,
        at_least=96.6,
        make="make train",
    ),
    *(
        Figure(
            name=f"digits_speedup_{engine}",
            what=f"{engine.upper()}, busy cycles without skipping / with it, `make train`",
            unit="x",
            measure=partial(_speedup, engine),
            make="make train",
        )
        for engine in ARRAYS
    ),
)
