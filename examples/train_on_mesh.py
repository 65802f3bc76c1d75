"""Trains the digits on a mesh of cores, and compares every value of each step with the model.

    .venv/bin/python examples/train_on_mesh.py          # the instruction-level model of the chip
    .venv/bin/python examples/train_on_mesh.py --rtl    # its Verilog, in Verilator

Each step is one program for each sub-core: forward, backward, gradients and update, with no host
in between. The weights stay in the DRAMs of the cores; only the batch is written for each step.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from contextlib import ExitStack

from backspike.commands.train import Training, TrainingSettings
from backspike.compiler.planning.mesh import plan_mesh
from backspike.hw.isa.instruction import Fault
from backspike.hw.presets import load
from backspike.sim.harness.session import ChipRequest, ChipSession
from backspike.sim.model.machine.chip import ChipModel
from backspike.training.core import compare


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, default=2, help="of the mesh (default: 2)")
    parser.add_argument("--rows", type=int, default=2, help="of the mesh (default: 2)")
    parser.add_argument("--steps", type=int, default=3, help="training steps (default: 3)")
    parser.add_argument("--batch", type=int, default=16, help="samples of a step (default: 16)")
    parser.add_argument("--rtl", action="store_true", help="run the Verilog of the chip")
    args = parser.parse_args()
    try:
        config = load("tiny", [f"mesh.columns={args.columns}", f"mesh.rows={args.rows}"])
        training = Training.start(config, TrainingSettings(batch=args.batch))
        plan = plan_mesh(training.network, config, args.batch)
    except ValueError as error:
        parser.error(str(error))
    network, weights = training.network, copy.deepcopy(training.weights)
    print(f"cores of the input and of each layer: {', '.join(map(str, plan.places))}")

    drams = None
    with ExitStack() as stack:
        if args.rtl:
            size = max(image.size for image in plan.images.values())
            session = stack.enter_context(ChipSession(config, dram_bytes=size))
            print("building the chip, which takes a few minutes the first time", flush=True)
            session.wait()
        for step in itertools.islice(training.epoch_steps(0), args.steps):
            if drams is None:
                drams = plan.drams(weights, step.x, step.targets, step.rule, step.loss_scale)
            else:
                plan.put_batch(drams, step.x, step.targets)
                plan.put_scalars(drams, step.rule, step.loss_scale)
            if args.rtl:
                run = session.run(
                    ChipRequest(drams=drams, programs=plan.addresses, connections=plan.connections)
                )
                drams, outcomes, took = run.drams, run.outcomes, f", {run.cycles:,} cycles"
            else:
                chip = ChipModel(config, drams, connections=plan.connections)
                outcomes, took = chip.run(plan.addresses), ""
            faults = {each.fault for core in outcomes.values() for each in core.values()}
            if faults != {Fault.NONE}:
                print(f"programs stopped: {outcomes}")
                return 1
            record = step.take(network, weights)
            compared, differ = compare(plan.read(drams), record)
            print(
                f"step {step.number + 1}: loss {record.loss:.4f}, {sum(compared.values()):,} "
                f"values compared, {sum(differ.values())} differ{took}",
                flush=True,
            )
            if any(differ.values()):
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
