"""A training run: its state between steps, its checkpoints, and what it leaves behind."""

from __future__ import annotations

import csv
import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from backspike.hw.config import ChipConfig
from backspike.network import Network
from backspike.sim.model import UpdateRule
from backspike.sim.model.network import Weights, train_step
from backspike.sim.model.record import StepRecord
from backspike.training.checkpoint import load_arrays, save_arrays
from backspike.training.data.digits import CLASSES, accuracy, digits_network, load_digits
from backspike.training.settings import TrainingSettings

__all__ = ["TakeStep", "Training", "TrainingStep", "train", "write_rows"]


class TrainingStep(NamedTuple):
    """What a training step is given beside the weights."""

    number: int
    """From 0."""
    x: NDArray[np.uint8]
    targets: NDArray[np.float64]
    """Firing rates asked for (sample, class)."""
    rule: UpdateRule
    loss_scale: float

    def take(self, network: Network, weights: list[Weights]) -> StepRecord:
        """Does the step with the model, changing ``weights``."""
        return train_step(
            network, self.x, self.targets, weights, self.rule, loss_scale=self.loss_scale
        )


TakeStep = Callable[[TrainingStep, list[Weights]], StepRecord]
"""Does a step, changing the weights."""


@dataclass
class Training:
    """State of a training run between two epochs: all that a checkpoint holds."""

    settings: TrainingSettings
    network: Network
    weights: list[Weights]
    epoch: int = 0
    """Epochs done."""
    steps: list[list[float]] = field(default_factory=list)
    """Rows of steps.csv: see STEP_COLUMNS."""
    epochs: list[list[float]] = field(default_factory=list)
    """Rows of epochs.csv: see EPOCH_COLUMNS."""

    @classmethod
    def start(cls, config: ChipConfig, settings: TrainingSettings) -> Training:
        """Weights from N(0, 2 / fan_in)."""
        network = digits_network(config, settings)
        rng = np.random.default_rng(settings.seed)
        weights = [
            Weights.start(
                rng.normal(scale=math.sqrt(2 / math.prod(shape[1:])), size=shape), network.format
            )
            for shape in network.weight_shapes
        ]
        return cls(settings, network, weights)

    @property
    def steps_per_epoch(self) -> int:
        """The last of them may have fewer samples."""
        return -(-len(load_digits()[0].x) // self.settings.batch)

    def epoch_steps(self, epoch: int) -> Iterator[TrainingStep]:
        """The steps of an epoch: the order of samples follows from seed and epoch alone.

        Behind the last epoch the learning rate is that of the first step again.
        """
        settings, data = self.settings, load_digits()[0]
        order = np.random.default_rng((settings.seed, epoch)).permutation(len(data.x))
        total = self.steps_per_epoch * settings.epochs
        for index in range(self.steps_per_epoch):
            number = epoch * self.steps_per_epoch + index
            chosen = order[index * settings.batch : (index + 1) * settings.batch]
            lr = settings.lr * (1 + math.cos(math.pi * (number % total) / total)) / 2
            yield TrainingStep(
                number,
                data.x[None, chosen],
                np.eye(CLASSES)[data.y[chosen]],
                UpdateRule(lr=lr, mu=settings.momentum, k=1 / settings.loss_scale),
                settings.loss_scale,
            )

    def describe(self) -> dict[str, object]:
        """What has to be equal for a checkpoint to fit."""
        network = self.network
        return {
            "format": str(network.format),
            "wg_samples": list(network.wg_groups),
            **dataclasses.asdict(self.settings),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint, all or nothing."""
        arrays = {}
        for index, state in enumerate(self.weights):
            for name, array in vars(state).items():
                arrays[f"{index}.{name}"] = array
        rest = {
            "settings": self.describe(),
            "epoch": self.epoch,
            "steps": self.steps,
            "epochs": self.epochs,
        }
        save_arrays(path, arrays, rest)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        ValueError
            If there is none, or it belongs to another run.
        """
        if not path.is_file():
            raise ValueError(f"{path} must be a checkpoint to resume from, and there is none")
        arrays, rest = load_arrays(path)
        if "settings" not in rest:
            raise ValueError(f"{path} must be a checkpoint to resume from, and is something else")
        for name, value in self.describe().items():
            if rest["settings"].get(name) != value:
                raise ValueError(
                    f"{name} must be {rest['settings'].get(name)} as in the checkpoint {path}, "
                    f"not {value}"
                )
        for index, state in enumerate(self.weights):
            for name, value in vars(state).items():
                found = arrays.get(f"{index}.{name}")
                if found is None or (found.shape, found.dtype) != (value.shape, value.dtype):
                    raise ValueError(
                        f"{path} must hold {index}.{name}, {value.dtype} numbers of shape "
                        f"{value.shape}, and does not"
                    )
                setattr(state, name, found)
        missing = {"epoch", "steps", "epochs"} - rest.keys()
        if missing:
            raise ValueError(f"{path} must hold {min(missing)}, and does not")
        self.epoch, self.steps, self.epochs = rest["epoch"], rest["steps"], rest["epochs"]


STEP_COLUMNS = ("step", "epoch", "lr", "loss", "updated", "overflow", "invalid")
EPOCH_COLUMNS = ("epoch", "loss", "test_accuracy")


def train(
    training: Training, folder: Path, *, take: TakeStep | None = None, progress: bool = True
) -> None:
    """Train to the end, leaving everything in ``folder``; ``take`` does the steps, or the model."""
    settings, network = training.settings, training.network
    take = take or (lambda step, weights: step.take(network, weights))
    per_epoch = training.steps_per_epoch
    shown = {"accuracy": f"{training.epochs[-1][-1]:.2%}"} if training.epochs else {}
    # On a terminal only: a log has the lines of the epochs.
    bar = tqdm(
        total=per_epoch * settings.epochs,
        initial=len(training.steps),
        unit="step",
        disable=None if progress else True,
    )
    write_rows(folder / "epochs.csv", EPOCH_COLUMNS, training.epochs)
    write_rows(folder / "steps.csv", STEP_COLUMNS, training.steps)
    with bar, (folder / "steps.csv").open("a", newline="", encoding="utf-8") as log:
        for epoch in range(training.epoch, settings.epochs):
            for step in training.epoch_steps(epoch):
                record = take(step, training.weights)
                status = record.status
                row = [step.number, epoch, step.rule.lr, record.loss]
                row += [int(x) for x in (record.updated, status.overflow, status.invalid)]
                training.steps.append(row)
                csv.writer(log).writerow(row)
                bar.update()
                bar.set_postfix(loss=f"{record.loss:.4f}", **shown)
            log.flush()
            reached = accuracy(network, training.weights, load_digits()[1])
            shown = {"accuracy": f"{reached:.2%}"}
            loss = statistics.fmean(row[3] for row in training.steps[-per_epoch:])
            training.epochs.append([epoch, loss, reached])
            training.epoch = epoch + 1
            write_rows(folder / "epochs.csv", EPOCH_COLUMNS, training.epochs)
            training.save(folder / "checkpoint.npz")
            bar.set_postfix(loss=f"{loss:.4f}", **shown)
            if progress:
                bar.write(f"epoch {epoch + 1}: loss {loss:.4f}, test accuracy {reached:.2%}")
    plot(training, folder / "training.png")


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def plot(training: Training, path: Path) -> None:
    """Loss of every step, and accuracy of every epoch, over the steps."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.add_subplot()
    right = left.twinx()
    per_epoch = len(training.steps) / max(1, training.epoch)
    left.plot([row[3] for row in training.steps], color="tab:blue", linewidth=0.7)
    left.set(xlabel="training step", ylabel="loss", ylim=(0, None))
    left.yaxis.label.set_color("tab:blue")
    right.plot(
        [(row[0] + 1) * per_epoch for row in training.epochs],
        [100 * row[2] for row in training.epochs],
        color="tab:orange",
        marker="o",
    )
    right.set_ylabel("test accuracy, %", color="tab:orange")
    left.set_title(f"digits, storage {training.network.format}, seed {training.settings.seed}")
    figure.savefig(path, dpi=120)
