"""Trains the digits on a mesh of cores, and compares every value of each step with the model.

    .venv/bin/python examples/train_on_mesh.py          # the instruction-level model of the chip
    .venv/bin/python examples/train_on_mesh.py --rtl    # its Verilog, in Verilator

Each step is one program for each sub-core: forward, backward, gradients and update, with no host
in between. The weights stay in the DRAMs of the cores; only the batch is written for each step.
"""

from __future__ import annotations

import itertools
from functools import cache, partial

from backspike.cli import Parser
from backspike.compiler.planning.mesh import plan_mesh
from backspike.device import Device, ModelDevice, RtlDevice
from backspike.hw.presets import load
from backspike.sim.harness.chip import ChipBench
from backspike.training.settings import TrainingSettings
from backspike.training.trainer import Trainer
from backspike.training.training import Training


def main() -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=2, help="of the mesh (default: 2)")
    parser.add_argument("--rows", type=int, default=2, help="of the mesh (default: 2)")
    parser.add_argument("--steps", type=int, default=3, help="training steps (default: 3)")
    parser.add_argument("--batch", type=int, default=16, help="samples of a step (default: 16)")
    parser.add_argument("--rtl", action="store_true", help="run the Verilog of the chip")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f"steps must be at least 1, not {args.steps}")
    try:
        config = load("tiny", [f"mesh.columns={args.columns}", f"mesh.rows={args.rows}"])
        training = Training.start(config, TrainingSettings(batch=args.batch))
        plan_of = cache(partial(plan_mesh, training.network, config))
        plan = plan_of(args.batch)
    except ValueError as error:
        parser.error(str(error))
    print(f"cores of the input and of each layer: {', '.join(map(str, plan.places))}")
    device: Device = ModelDevice(config)
    if args.rtl:
        device = RtlDevice(ChipBench(config, dram_bytes=plan.dram_bytes))
        print("building the chip, which takes a few minutes the first time", flush=True)
    with device:
        trainer = Trainer(training.network, device, plan_of)
        steps = itertools.chain.from_iterable(map(training.epoch_steps, itertools.count()))
        for step in trainer.run(itertools.islice(steps, args.steps), training.weights):
            took = f", {step.speed.cycles:,} cycles" if step.speed else ""
            print(
                f"step {step.number + 1}: loss {step.loss:.4f}, {sum(step.compared.values()):,} "
                f"values compared, {sum(step.differ.values())} differ{took}",
                flush=True,
            )
    return int(any(sum(step.differ.values()) for step in trainer.steps))


if __name__ == "__main__":
    raise SystemExit(main())
