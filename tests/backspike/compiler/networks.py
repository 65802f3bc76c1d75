"""Networks and batches for the tests of whole steps."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np

from backspike.compiler.planning.core import cut_step, plan_step, samples_for
from backspike.hw.isa.instruction import Fault
from backspike.network import Layer, Network
from backspike.sim.model import UpdateRule, round_values
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.network import Weights, train_step
from backspike.training.data.digits import CLASSES, load_digits
from backspike.training.settings import TrainingSettings
from backspike.training.training import Training
from tests.backspike.compiler.told import expect_told


def random_layers(rng, count, kernel=None):
    """Layers of all kinds, the last one fully connected, and the size of an input they fit.

    The first one has ``kernel`` rows, or as many columns, if that is given.
    """
    while True:
        size = tuple(int(rng.integers(3, 12)) for _ in range(2))
        made, (h, w) = [], size
        for index in range(count):
            common = {
                "m_size": int(rng.integers(1, 14)),
                "alpha": float(rng.choice([0, 0.25, 0.5])),
                "th_l": float(rng.choice([0, 2**-9, 0.5])),
            }
            first = kernel if index == 0 else None
            if index == count - 1 or (rng.random() < 0.15 and not first):
                made.append(Layer(**common, fully_connected=True))
                fits = max(h, w) <= 7
                h = w = 1
            else:
                taps = [int(each) for each in rng.integers(1, 8, 2)]
                if first:
                    taps[int(rng.integers(2))] = first
                layer = Layer(
                    **common,
                    kernel=tuple(taps),
                    stride=(int(rng.choice([1, 1, 2, 3, 4])),) * 2,
                    padding=tuple(int(each) for each in rng.integers(0, 4, 4)),
                    pool=int(rng.choice([1, 1, 2, 3, 4])),
                )
                made.append(layer)
                h, w = (
                    ((side + sum(pad) - tap) // layer.stride[0] + 1) // layer.pool
                    for side, pad, tap in (
                        (h, layer.padding[:2], layer.kernel[0]),
                        (w, layer.padding[2:], layer.kernel[1]),
                    )
                )
                fits = min(h, w) >= 1
            if not fits:
                break
        else:
            return tuple(made), (*size, int(rng.integers(1, 11)))


def random_case(rng, config, count, *, kernel=None, **settings):
    """A case of a random network of ``count`` layers that the chip has room for."""
    while True:
        layers, input_size = random_layers(rng, count, kernel)
        try:
            case = Case.random(rng, config, layers, input_size, **settings)
            return case, case.plan()
        except ValueError as error:
            assert "must" in str(error)


def random_weights(rng, network, gain=4.0):
    """Weights large enough that neurons fire, and momenta."""
    made = []
    for shape in network.weight_shapes:
        scale = gain / math.sqrt(math.prod(shape[1:]))
        made.append(Weights.start(rng.normal(scale=scale, size=shape), network.format))
        made[-1].v = rng.normal(scale=0.1, size=shape).astype(np.float32)
    return made


@dataclass
class Case:
    """A network on a chip, and a batch for it."""

    config: object
    network: Network
    weights: list[Weights]
    x: np.ndarray
    targets: np.ndarray
    rule: UpdateRule
    loss_scale: float = 64.0

    @classmethod
    def random(cls, rng, config, layers, input_size, *, batch=None, steps=None, planes=None):
        """Spikes, or a direct input, and everything else at random."""
        steps = steps or int(rng.integers(1, 4))
        batch = batch or int(rng.integers(1, 7))
        planes = int(rng.choice([0, 0, 2, 4])) if planes is None else planes
        network = Network.for_chip(
            config,
            layers=layers,
            input_size=input_size,
            steps=steps,
            planes=planes,
            wg_samples=1,
            fire_mask=bool(rng.integers(2)),
        )
        shape = (int(rng.choice([1, steps])), batch, *input_size)
        most = samples_for(network, config, batch, input_steps=shape[0])
        samples = tuple(int(rng.integers(1, each + 1)) for each in most)
        network = replace(network, wg_samples=samples)
        x = rng.integers(0, 2 << planes, shape) if planes else rng.random(shape) < 0.4
        return cls(
            config=config,
            network=network,
            weights=random_weights(rng, network),
            x=x.astype(np.uint8),
            targets=round_values(rng.random((batch, layers[-1].m_size)), network.format),
            rule=UpdateRule(lr=0.1, mu=0.9, wd=0.01, k=1 / 64),
        )

    def plan(self):
        """The programs."""
        return plan_step(self.network, self.config, self.x.shape[1], input_steps=self.x.shape[0])

    def setting(self):
        """How they are cut."""
        return cut_step(self.network, self.config, self.x.shape[1], input_steps=self.x.shape[0])

    def drams(self, plan):
        """DRAM of each core in front of the step."""
        return plan.drams(self.weights, self.x, self.targets, self.rule, self.loss_scale)

    def step(self):
        """What the model makes of it; the weights stay as they are."""
        return train_step(
            self.network,
            self.x,
            self.targets,
            copy.deepcopy(self.weights),
            self.rule,
            loss_scale=self.loss_scale,
        )

    def check(self, plan, orders=(None,)):
        """Runs the programs, the units in each of ``orders``; returns the model's record."""
        record, before = self.step(), self.drams(plan)
        for order in orders:
            drams = {place: dram.copy() for place, dram in before.items()}
            chip = ChipModel(self.config, drams, connections=plan.connections, order=order)
            expect(plan, drams, chip.run(plan.addresses), record)
            for core in chip.cores.values():
                assert not any(any(subcore.boxes) for subcore in core.subcores.values())
        return record


def check_mesh(case, plan, orders=(None,)):
    """As :meth:`Case.check`; besides, BP reads nothing that no message has told it of."""
    reads = [expect_told(case.config, image) for image in plan.images.values()]
    assert any(reads)
    return case.check(plan, orders)


def digits_case(config, batch):
    """The first training step of the digits network."""
    training = Training.start(config, TrainingSettings(batch=batch))
    data, _ = load_digits()
    return Case(
        config=config,
        network=training.network,
        weights=training.weights,
        x=data.x[None, :batch],
        targets=np.eye(CLASSES)[data.y[:batch]],
        rule=UpdateRule(lr=0.1, mu=0.9, k=1 / 1024),
        loss_scale=1024.0,
    )


def expect(plan, drams, outcomes, record):
    """Raises AssertionError unless the step has left what the model has made.

    All cores that have weights of a layer must have the same.
    """
    ended = [each for core in outcomes.values() for each in core.values()]
    assert {each.fault for each in ended} == {Fault.NONE}, outcomes
    statuses = [any(getattr(each, name) for each in ended) for name in ("overflow", "invalid")]
    assert statuses == [record.status.overflow, record.status.invalid]
    made = plan.read(drams)
    np.testing.assert_array_equal(made.rates, record.rates)
    for index, (layer, wanted) in enumerate(zip(made.layers, record.layers, strict=True)):
        for name, array in vars(layer).items():
            expected = getattr(wanted, name)
            assert array.dtype == expected.dtype, (index, name)
            np.testing.assert_array_equal(array, expected, f"{name} of layer {index}")
            # As bits: +0 and -0 differ.
            assert array.tobytes() == expected.tobytes(), f"signs of {name} of layer {index}"
        for place in plan.places[index : index + 2]:
            stored = plan.images[place].layout.stored_weights(drams[place], index)
            np.testing.assert_array_equal(stored, wanted.w_stored_new, f"layer {index}, {place}")
