"""Train 16C3-16C3-maxpool2-FC10 on scikit-learn's digits, on the core and on its bit-exact model.

Leaves under the output folder: ``steps.csv``, ``epochs.csv``, ``training.png``, ``checkpoint.npz``
(written after every epoch; ``--resume`` goes on from it, bit for bit as if never stopped);
``program.json``, what a core runs in a step (``backspike disassemble`` prints it); and of the steps
that ran on the core in RTL ``core.json`` and ``timeline.png``.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import sys
import time
from functools import cache, partial
from pathlib import Path

from tqdm import tqdm

from backspike.compiler.assembling.file import save_programs
from backspike.compiler.planning.core import plan_step
from backspike.device import Device, RtlDevice
from backspike.hw.config import ChipConfig
from backspike.hw.core.connection import LONE_CORE
from backspike.hw.presets import load
from backspike.sim.harness.core import CoreBench
from backspike.training.report import CORE_STEPS, TIMELINE, report_steps
from backspike.training.settings import TrainingSettings
from backspike.training.trainer import Trainer
from backspike.training.training import Training, train

__all__ = ["add_arguments", "run"]

BACKENDS = {
    "model": "the bit-exact model does all steps",
    "check": "so it does; the first two and one from the last checkpoint run in RTL as well",
    "rtl": "all steps run in RTL",
}
"""What does the steps. Every step in RTL is compared with the model, value by value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``backspike train``."""
    parser.add_argument(
        "--config", default="tiny", help="preset or TOML file of the core (default: tiny)"
    )
    meanings = "; ".join(f"{name}: {what}" for name, what in BACKENDS.items())
    parser.add_argument(
        "--backend", choices=BACKENDS, default="check", help=f"{meanings} (default: check)"
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
    """``backspike train``: 1 if the core differs, 2 with one sentence if the input is bad."""
    try:
        names = [each.name for each in dataclasses.fields(TrainingSettings)]
        settings = TrainingSettings(**{name: getattr(args, name) for name in names})
        config = load(args.config)
        training = Training.start(config, settings)
        # The same programs run in every step: only scalars change, and what lies in DRAM.
        plan_of = cache(partial(plan_step, training.network, config))
        plan = plan_of(settings.batch)
        if args.resume:
            training.resume(args.out / "checkpoint.npz")
    except ValueError as error:
        print(f"backspike train: {error}", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    save_programs(args.out / "program.json", config, plan.images[LONE_CORE].programs)
    for name in (CORE_STEPS, TIMELINE):
        (args.out / name).unlink(missing_ok=True)  # what is there is of another run
    device = RtlDevice(CoreBench(config, dram_bytes=plan.dram_bytes))
    try:
        return _train(args, training, device, Trainer(training.network, device, plan_of), config)
    finally:
        device.close()


def _train(
    args: argparse.Namespace,
    training: Training,
    device: Device,
    trainer: Trainer,
    config: ChipConfig,
) -> int:
    began = time.perf_counter()
    if args.backend != "model":
        device.open()
    if args.backend == "rtl":
        _wait(device)
    train(training, args.out, take=trainer.take if args.backend == "rtl" else None)
    skipped = sum(not row[4] for row in training.steps)
    print(
        f"test accuracy {training.epochs[-1][2]:.2%} after {training.settings.epochs} epochs "
        f"({len(training.steps)} steps, {skipped} without an update) "
        f"in {time.perf_counter() - began:.0f} s; see {args.out}"
    )
    if args.backend == "check":
        _wait(device)
        _check(training, trainer, config)
    if not trainer.steps:
        return 0
    return 0 if report_steps(trainer, args.out) else 1


def _wait(device: Device) -> None:
    print("waiting for the core: its first build takes some minutes", flush=True)
    device.ready()


def _check(training: Training, trainer: Trainer, config: ChipConfig) -> None:
    """The first two steps, and the one behind the last checkpoint, in RTL."""
    begin = Training.start(config, training.settings)
    first = trainer.run(itertools.islice(begin.epoch_steps(0), 2), begin.weights)
    behind = itertools.islice(training.epoch_steps(training.epoch), 1)
    last = trainer.run(behind, copy.deepcopy(training.weights))
    checked = itertools.chain(first, last)
    for _ in tqdm(checked, desc="steps in RTL", total=3, unit="step", disable=None):
        pass
