"""Without these, cores could overwrite what others still need, wait for ever, or learn less."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest

from backspike.compiler.lowering.layers import lowered_layers
from backspike.compiler.planning.mesh import balanced, plan_mesh, snake
from backspike.hw.isa.table import UNITS
from backspike.hw.presets import load
from backspike.network import Layer, Network
from backspike.sim.model import UpdateRule
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.network import train_step
from backspike.training.data.digits import CLASSES, load_digits
from tests.backspike.compiler.networks import (
    Case,
    check_mesh,
    digits_case,
    expect,
    random_layers,
    random_weights,
)
from tests.sim.model.machine.orders import any_slow, slow


def mesh(columns, rows, *overrides):
    """``tiny`` with so many cores."""
    return load("tiny", [f"mesh.columns={columns}", f"mesh.rows={rows}", *overrides])


def conv(m_size, **settings):
    """A layer that keeps the size of maps."""
    return Layer(m_size=m_size, kernel=(3, 3), padding=(1, 1, 1, 1), th_l=2**-10, **settings)


LAST = Layer(m_size=3, fully_connected=True)


def plan_of(case, **settings):
    """The programs of a case."""
    return plan_mesh(
        case.network, case.config, case.x.shape[1], input_steps=case.x.shape[0], **settings
    )


def check_with_slow_cores(case, plan, rng):
    """Runs with each core in turn slower than all others."""
    record = case.step()
    for place in plan.images:
        slow_core = []

        def order(work, slow_core=slow_core):
            rng.shuffle(work)
            late = [each for each in work if each[0] in slow_core]
            others = [each for each in work if each[0] not in slow_core]
            work[:] = others * 12 + late

        drams = case.drams(plan)
        chip = ChipModel(case.config, drams, connections=plan.connections, order=order)
        slow_core.append(chip.cores[place])
        expect(plan, drams, chip.run(plan.addresses), record)


@pytest.mark.parametrize("columns, rows", [(2, 1), (2, 2)])
def test_five_layers(columns, rows):
    rng = np.random.default_rng(1)
    layers = (conv(5), conv(6, pool=2), conv(7), conv(4), LAST)
    case = Case.random(rng, mesh(columns, rows), layers, (6, 6, 3), batch=4, steps=3, planes=0)
    plan = plan_of(case)
    assert set(plan.images) == set(snake(columns, rows))
    record = check_mesh(case, plan, [None, rng.shuffle, slow(rng, "bp", "noc")])
    check_with_slow_cores(case, plan, rng)
    assert record.updated
    assert all(layer.du.any() and layer.dw.any() for layer in record.layers)


def random_mesh_case(rng, config, count):
    """A random network, places and parts that the chip has room for."""
    cores = snake(config.mesh.columns, config.mesh.rows)
    while True:
        layers, input_size = random_layers(rng, count)
        try:
            case = Case.random(rng, config, layers, input_size)
            places = [cores[int(rng.integers(len(cores)))] for _ in range(count + 1)]
            if rng.random() < 0.5:
                places = None
            return case, plan_of(case, places=places, part=int(rng.integers(1, 4)))
        except ValueError as error:
            assert "must" in str(error)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_anywhere(seed):
    """Bit planes and spikes, pooling, strides, groups of any size; any layer on any core."""
    rng = np.random.default_rng(seed)
    overrides = [["array.weight_words=2"], ["dram.bus_bits=256"], ["bp.dw=2048"], []][seed % 4]
    config = mesh(int(rng.integers(1, 4)), int(rng.integers(1, 4)), *overrides)
    case, plan = random_mesh_case(rng, config, int(rng.integers(1, 6)))
    check_mesh(case, plan, [None, rng.shuffle, any_slow(rng)])


def test_units_however_slow():
    rng = np.random.default_rng(2)
    layers = (conv(4), conv(5), LAST)
    case = Case.random(rng, mesh(2, 1), layers, (5, 5, 3), batch=5, steps=2, planes=2)
    plan = plan_of(case, places=[(1, 0), (0, 0), (1, 0), (0, 0)])
    orders = [slow(rng, subcore, unit) for subcore in UNITS for unit in (None, *UNITS[subcore])]
    check_mesh(case, plan, orders)


def test_twenty_layers_on_twenty_cores():
    rng = np.random.default_rng(3)
    layers = (*(conv(4) for _ in range(18)), conv(3, stride=(2, 2)), LAST)
    case = Case.random(rng, mesh(2, 10), layers, (5, 5, 3), batch=3, steps=2, planes=0)
    case.weights, case.loss_scale = random_weights(rng, case.network, 3.0), 1.0
    plan = plan_of(case)
    assert len(plan.images) == 20
    record = check_mesh(case, plan, [None, rng.shuffle])
    assert record.updated
    assert all(layer.du.any() for layer in record.layers)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("sram", ["s=288", "u=1024", "conv_bp=2048", "du=1280", "du_next=3456"])
def test_slots_for_as_few_maps_as_there_can_be(sram, pool):
    """One of the rings is shorter than all others."""
    rng = np.random.default_rng(8)
    layers = (conv(4, pool=pool), conv(4), LAST)
    case = Case.random(rng, mesh(2, 1, f"bp.{sram}"), layers, (6, 6, 3), batch=4, steps=3, planes=0)
    case.network = dataclasses.replace(case.network, fire_mask=True, wg_samples=1)
    plan = plan_of(case, places=[(0, 0), (0, 0), (0, 0), (1, 0)])
    record = check_mesh(case, plan, [None, rng.shuffle])
    assert all(layer.du.any() for layer in record.layers)


def test_more_parts_than_a_message_box_holds():
    rng = np.random.default_rng(4)
    layers = (conv(2), LAST)
    case = Case.random(rng, mesh(2, 1), layers, (2, 2, 2), batch=40, steps=2, planes=0)
    plan = plan_of(case, places=[(0, 0), (0, 0), (1, 0)])
    check_mesh(case, plan, [None, slow(rng, "bp", "read"), slow(rng, "fp", None)])


def test_gradients_that_exceed_their_sram():
    """They are stored behind each group of samples, and loaded for the next."""
    rng = np.random.default_rng(5)
    chip = mesh(2, 1, "bp.dw=1152", "dram.bus_bits=32")
    layers = (conv(9), conv(10), LAST)
    case = Case.random(rng, chip, layers, (4, 4, 5), batch=5, steps=2, planes=0)
    case.network = dataclasses.replace(case.network, wg_samples=(2, 2, 5))
    plan = plan_of(case)
    record = check_mesh(case, plan, [None, slow(rng, "bp", "write"), slow(rng, "bp", "read")])
    assert all(layer.dw.any() for layer in record.layers)
    reasons = Counter(
        reason
        for image in plan.images.values()
        for reason in image.programs["bp"].reasons.values()
        if reason.startswith("dw of layer 1, output tile 0, input tile 0")
    )
    assert set(reasons.values()) == {3 + 2}


@pytest.mark.parametrize("broken", ["first weights", "last weights", "targets", "rate"])
def test_a_status_anywhere_stops_all_updates(broken):
    rng = np.random.default_rng(6)
    layers = (conv(4), conv(4), conv(4), LAST)
    case = Case.random(rng, mesh(2, 2), layers, (4, 4, 3), batch=2, steps=2, planes=0)
    plan = plan_of(case, places=[(1, 1), (0, 0), (1, 0), (1, 1), (0, 1)])
    if broken == "targets":
        case.targets = np.full_like(case.targets, 65504.0)
        case.loss_scale = 65536.0
    elif broken == "rate":
        case.rule = dataclasses.replace(case.rule, lr=1e30)
    else:
        weights = case.weights[0 if broken == "first weights" else -1]
        weights.w_stored = np.full_like(weights.w_stored, 65504.0)
    record = check_mesh(case, plan, [None, rng.shuffle])
    assert record.status.overflow
    assert record.updated == (broken == "rate")


def test_batches_one_after_the_other_in_the_same_drams():
    """Only the batch and scalars are written: weights lie where both sub-cores find them."""
    case = digits_case(mesh(2, 2), 3)
    plan = plan_mesh(case.network, case.config, 3)
    drams = case.drams(plan)
    chip = ChipModel(case.config, drams, connections=plan.connections)
    weights, (data, _) = copy.deepcopy(case.weights), load_digits()
    for step in range(3):
        chosen = slice(3 * step, 3 * step + 3)
        x, targets = data.x[None, chosen], np.eye(CLASSES)[data.y[chosen]]
        rule = UpdateRule(lr=0.1 / (step + 1), mu=0.9, k=2.0 ** -(9 + step))
        plan.put_batch(drams, x, targets)
        plan.put_scalars(drams, rule, 2.0 ** (9 + step))
        outcomes = chip.run(plan.addresses)
        scale = 2.0 ** (9 + step)
        record = train_step(case.network, x, targets, weights, rule, loss_scale=scale)
        expect(plan, drams, outcomes, record)
        assert record.updated


def test_an_update_of_many_chunks_is_a_loop():
    chip = mesh(2, 1, "bp.dw=1536")
    layers = (Layer(m_size=30, fully_connected=True), Layer(m_size=20, fully_connected=True))
    rng = np.random.default_rng(7)
    case = Case.random(rng, chip, layers, (1, 1, 40), batch=2, steps=2, planes=0)
    plan = plan_of(case, places=[(0, 0), (1, 0), (0, 0)])
    check_mesh(case, plan, [None, slow(rng, "bp", "write"), slow(rng, "bp", "noc")])
    reasons = plan.images[0, 0].programs["bp"].reasons.values()
    assert any("chunk by chunk" in reason for reason in reasons)


def test_snake_goes_from_neighbour_to_neighbour():
    places = snake(3, 4)
    assert len(set(places)) == 12
    for here, there in itertools.pairwise(places):
        assert abs(here[0] - there[0]) + abs(here[1] - there[1]) == 1


def test_balanced_places():
    """Layers in order, and the busiest array has least to do."""
    network = Network(layers=(*[conv(4)] * 6, LAST), input_size=(6, 6, 4), steps=2, wg_samples=1)
    layers = lowered_layers(network, mesh(2, 2), 1, None)
    places = balanced(layers, 2, snake(2, 2))
    cores = snake(2, 2)
    numbers = [cores.index(place) for place in places[1:]]
    assert numbers == sorted(numbers)
    assert max(Counter(numbers[:-1]).values()) == 2
    # The core of the last layers has the least WG to do.
    assert places[0] == places[-1]
    assert balanced(layers, 2, [(0, 0)]) == [(0, 0)] * 8


SHORT = Network(layers=(conv(5), LAST), input_size=(6, 6, 3), steps=2, wg_samples=1)
LONG = dataclasses.replace(SHORT, layers=(*[conv(2)] * 12, LAST))


@pytest.mark.parametrize(
    "network, chip, settings, sentence",
    [
        (
            SHORT,
            mesh(2, 1),
            {"places": [(0, 0)] * 2},
            "places must be 3, of the input and of 2 layers, not 2",
        ),
        (
            SHORT,
            mesh(2, 1),
            {"places": [(0, 0), (0, 0), (0, 1)]},
            "places must lie on a mesh of 2 columns and 1 rows, which core (0, 1) does not",
        ),
        (SHORT, mesh(2, 1), {"part": 0}, "part must be at least 1, not 0"),
        (
            SHORT,
            mesh(2, 1, "fp.u=512"),
            {"part": 1},
            "whole maps of the layers on core (0, 0) must take at most 64 words of fp.u, not 144",
        ),
        (
            SHORT,
            mesh(1, 1, "fp.w=512"),
            {},
            "the weights of the layers on core (0, 0) must take at most 64 rows of fp.w, not 360",
        ),
        (
            LONG,
            mesh(2, 1),
            {"places": [(0, 0), *[(number % 2, 0) for number in range(13)]]},
            "the BP sub-core of core (1, 0) has 7 message boxes, and the layers placed there need "
            "more",
        ),
        (
            SHORT,
            mesh(2, 2, "noc.connections=2"),
            {"places": [(0, 1), (0, 0), (1, 0)]},
            "the BP sub-core of core (0, 0) has 2 connections, and the layers placed there need "
            "more",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(network, chip, settings, sentence):
    with pytest.raises(ValueError) as error:
        plan_mesh(network, chip, 2, **settings)
    assert str(error.value) == sentence
