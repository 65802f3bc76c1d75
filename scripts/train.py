"""Train 16C3-16C3-maxpool2-FC10 on scikit-learn's digits with the bit-exact model, then replay.

Leaves under the output folder: ``steps.csv``, ``epochs.csv``, ``training.png``, ``checkpoint.npz``
(written after every epoch; ``--resume`` goes on from it, bit for bit as if never stopped), and the
first and the last training step in full, ``first.npz`` and ``last.npz``; and ``program.json``, what
a core runs in a step (``backspike disassemble`` prints it).
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from hw.config import ChipConfig
from hw.presets import load
from scripts.replay import REPLAYED, Builder, replay
from sim.model import Status, UpdateRule, round_values
from sim.model.network import Layer, Network, Weights
from sim.model.record import StepRecord, load_arrays, save_arrays
from toolchain.file import save_programs
from toolchain.step import plan_step, samples_for

__all__ = [
    "Data",
    "Training",
    "TrainingSettings",
    "add_arguments",
    "load_digits",
    "measure_training_step",
    "run",
    "train",
]

CLASSES = 10
IMAGE_SIZE = (8, 8)
PLANES = 4
"""Pixels are 0..16, sixteenths of 1: bit planes 0..4."""
STEPS = 4
"""Time steps T."""
EVALUATION_BATCH = 120
"""Samples in memory at a time when accuracy is measured; changes no result."""


def setting(default: float, what: str) -> Any:
    """A field of the settings with its default, and what the command line says of it."""
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a training run depends on, beside the chip's storage format.

    Raises
    ------
    ValueError
        If a number is impossible.
    """

    seed: int = setting(0, "of the weights at the start and of the order of samples")
    epochs: int = setting(15, "times that all training samples are seen")
    batch: int = setting(32, "samples in a training step")
    lr: float = setting(0.1, "learning rate of the first step; falls to 0 by half a cosine")
    momentum: float = setting(0.9, "share of the last step that the next one keeps")
    loss_scale: float = setting(1024.0, "power of two that keeps gradients off the subnormals")
    th_l: float = setting(
        0.0,
        "lower end of the surrogate derivative's window [th_l, 2]; from the smallest positive "
        "number on, silent neurons (u exactly 0) cost BP nothing",
    )

    def __post_init__(self) -> None:
        for name, low in (("seed", 0), ("epochs", 1), ("batch", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}, not {getattr(self, name)}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr must be a number above 0, not {self.lr}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, not {self.momentum}")
        if not (0 < self.loss_scale < math.inf and math.frexp(self.loss_scale)[0] == 0.5):
            raise ValueError(f"loss_scale must be a power of two, not {self.loss_scale}")
        if not -2 <= self.th_l <= 2:
            raise ValueError(f"th_l must be from -2 to 2, not {self.th_l}")


class Data(NamedTuple):
    """Images of shape (sample, y, x, 1) with pixels 0..16, and their labels."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]


def load_digits() -> tuple[Data, Data]:
    """Scikit-learn's digits: 80 % to train and 20 % to test with, stratified, always the same."""
    digits = datasets.load_digits()
    x = digits.images.astype(np.uint8)[..., None]
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    return Data(x_train, y_train), Data(x_test, y_test)


def digits_network(config: ChipConfig, settings: TrainingSettings) -> Network:
    """16C3-16C3-maxpool2-FC10, T = 4, alpha 0.5, threshold 1, window [th_l, 2], no bias."""
    padding = (1, 1, 1, 1)
    th_l = float(round_values(settings.th_l, config.format))
    if settings.th_l and not th_l:
        raise ValueError(f"th_l must be 0 or a number of {config.format}, not {settings.th_l}")
    scale = float(round_values(settings.loss_scale / (settings.batch * STEPS), config.format))
    if not 0 < scale < math.inf:
        raise ValueError(
            f"loss_scale must be a number of {config.format} when divided by batch * {STEPS}, "
            f"not {settings.loss_scale}"
        )
    height, width = IMAGE_SIZE
    network = Network.for_chip(
        config,
        layers=(
            Layer(m_size=16, kernel=(3, 3), padding=padding, th_l=th_l),
            Layer(m_size=16, kernel=(3, 3), padding=padding, pool=2, th_l=th_l),
            Layer(m_size=CLASSES, fully_connected=True, th_l=th_l),
        ),
        input_size=(height, width, 1),
        steps=STEPS,
        planes=PLANES,
        wg_samples=1,
    )
    # As many samples in one WG instruction as the core has room for.
    return dataclasses.replace(network, wg_samples=samples_for(network, config, settings.batch))


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
            for name in vars(state):
                setattr(state, name, arrays[f"{index}.{name}"])
        self.epoch, self.steps, self.epochs = rest["epoch"], rest["steps"], rest["epochs"]


STEP_COLUMNS = ("step", "epoch", "lr", "loss", "updated", "overflow", "invalid")
EPOCH_COLUMNS = ("epoch", "loss", "test_accuracy")


def batches(samples: int, settings: TrainingSettings, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Indices of an epoch's batches: an order that follows from seed and epoch alone."""
    order = np.random.default_rng((settings.seed, epoch)).permutation(samples)
    for first in range(0, samples, settings.batch):
        yield order[first : first + settings.batch]


def accuracy(network: Network, weights: list[Weights], data: Data) -> float:
    """Share of samples whose label has the highest firing rate, the first of equals."""
    right = 0
    for first in range(0, len(data.x), EVALUATION_BATCH):
        part = slice(first, first + EVALUATION_BATCH)
        out = network.forward(data.x[None, part], weights, status=Status())[-1].s_out
        right += int((out.sum(axis=0)[:, 0, 0].argmax(axis=-1) == data.y[part]).sum())
    return right / len(data.x)


def train(training: Training, folder: Path, *, progress: bool = True) -> None:
    """Train to the end, leaving everything in ``folder``."""
    data, test = load_digits()
    settings, network = training.settings, training.network
    per_epoch = -(-len(data.x) // settings.batch)
    total = per_epoch * settings.epochs
    one_hot = np.eye(CLASSES)
    shown = {"accuracy": f"{training.epochs[-1][-1]:.2%}"} if training.epochs else {}
    # On a terminal only: a log has the lines of the epochs.
    bar = tqdm(
        total=total, initial=len(training.steps), unit="step", disable=None if progress else True
    )
    write_rows(folder / "epochs.csv", EPOCH_COLUMNS, training.epochs)
    write_rows(folder / "steps.csv", STEP_COLUMNS, training.steps)
    with bar, (folder / "steps.csv").open("a", newline="", encoding="utf-8") as log:
        for epoch in range(training.epoch, settings.epochs):
            for chosen in batches(len(data.x), settings, epoch):
                step = len(training.steps)
                lr = settings.lr * (1 + math.cos(math.pi * step / total)) / 2
                record = network.train_step(
                    data.x[None, chosen],
                    one_hot[data.y[chosen]],
                    training.weights,
                    UpdateRule(lr=lr, mu=settings.momentum, k=1 / settings.loss_scale),
                    loss_scale=settings.loss_scale,
                )
                status = record.status
                row = [step, epoch, lr, record.loss]
                row += [int(x) for x in (record.updated, status.overflow, status.invalid)]
                training.steps.append(row)
                csv.writer(log).writerow(row)
                for name, recorded in (("first", 0), ("last", total - 1)):
                    if step == recorded:
                        record.save(folder / f"{name}.npz", network.format)
                bar.update()
                bar.set_postfix(loss=f"{record.loss:.4f}", **shown)
            log.flush()
            reached = accuracy(network, training.weights, test)
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


def write_rows(path: Path, columns: tuple[str, ...], rows: list[list[float]]) -> None:
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


def measure_training_step(count: int = 15) -> float:
    """Seconds of a training step of batch 32, the median of ``count`` after three others."""
    training = Training.start(load("paper"), TrainingSettings())
    data, _ = load_digits()
    seconds = []
    chosen = list(batches(len(data.x), training.settings, 0))[: count + 3]
    for batch in chosen:
        began = time.perf_counter()
        training.network.train_step(
            data.x[None, batch],
            np.eye(CLASSES)[data.y[batch]],
            training.weights,
            UpdateRule(lr=0.1, mu=0.9, k=1 / 1024),
            loss_scale=1024,
        )
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[3:])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``backspike train``."""
    parser.add_argument(
        "--config", default="tiny", help="preset or TOML file of the core (default: tiny)"
    )
    parser.add_argument(
        "--replay",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="replay the first and the last step in the Verilated engines (default: yes)",
    )
    for each in dataclasses.fields(TrainingSettings):
        parser.add_argument(
            f"--{each.name.replace('_', '-')}",
            type=type(each.default),
            default=each.default,
            help=f"{each.metadata['what']} (default: {each.default})",
        )
    parser.add_argument(
        "--out", type=Path, default=Path("build/train"), help="output folder (default: build/train)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")


def run(args: argparse.Namespace) -> int:
    """``backspike train``: 0, or 2 with one sentence on standard error if the input is bad."""
    try:
        names = [each.name for each in dataclasses.fields(TrainingSettings)]
        settings = TrainingSettings(**{name: getattr(args, name) for name in names})
        config = load(args.config)
        training = Training.start(config, settings)
        if args.resume:
            training.resume(args.out / "checkpoint.npz")
        # The same programs run in every step: only scalars change, and what lies in DRAM.
        plan = plan_step(training.network, config, settings.batch)
    except ValueError as error:
        print(f"backspike train: {error}", file=sys.stderr)
        return 2
    began = time.perf_counter()
    args.out.mkdir(parents=True, exist_ok=True)
    save_programs(args.out / "program.json", config, plan.programs)
    (args.out / REPLAYED).unlink(missing_ok=True)  # what is there is of another run
    builder = Builder(config) if args.replay else None
    train(training, args.out)
    skipped = sum(not row[4] for row in training.steps)
    print(
        f"test accuracy {training.epochs[-1][2]:.2%} after {settings.epochs} epochs "
        f"({len(training.steps)} steps, {skipped} without an update) "
        f"in {time.perf_counter() - began:.0f} s; see {args.out}"
    )
    if builder is None:
        return 0
    builder.wait()
    records = {name: StepRecord.load(args.out / f"{name}.npz") for name in ("first", "last")}
    return 0 if replay(config, training.network, records, args.out) else 1
