"""Without these, a schedule could compute something else than the model, or have races."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from backspike.compiler.planning.core import plan_step, samples_for
from backspike.hw.arith.format import Float
from backspike.hw.core.connection import LONE_CORE
from backspike.hw.isa.table import UNITS
from backspike.hw.presets import load
from backspike.network import Layer, Network
from backspike.sim.model import UpdateRule
from backspike.sim.model.machine.chip import ChipModel
from backspike.sim.model.network import train_step
from backspike.training.data.digits import CLASSES, load_digits
from tests.backspike.compiler.networks import Case, digits_case, expect, random_case
from tests.sim.model.machine.orders import slow

SMALL = (
    "dram.bus_bits=256",
    "fp.u=512",
    "fp.conv_fp=2048",
    "fp.s_in=256",
    "fp.w=2048",
    "bp.w=2048",
    "bp.u=512",
    "bp.du=512",
    "bp.conv_bp=1024",
    "bp.du_next=4096",
    "bp.dw=2048",
)
"""Of ``tiny``, so little that strips, ranges of tiles and single samples are all needed.

The bus is wider than a word, so that rows of maps are padded.
"""


def all_orders(rng):
    """One for each unit that is slower than all others."""
    return [slow(rng, subcore, unit) for subcore, units in UNITS.items() for unit in units]


@pytest.mark.parametrize("chip, batch", [("tiny", 5), ("paper", 8)])
def test_a_step_of_the_digits_network(chip, batch):
    case = digits_case(load(chip), batch)
    plan = case.plan()
    rng = np.random.default_rng(1)
    record = case.check(plan, [None, rng.shuffle, slow(rng, "bp", "grad"), slow(rng, "bp", "wg")])
    assert record.updated
    assert all(layer.du.any() and layer.dw.any() for layer in record.layers)
    assert list(plan.images[LONE_CORE].programs["fp"].phases.values()) == ["forward"]
    assert list(plan.images[LONE_CORE].programs["bp"].phases.values()) == ["backward", "update"]
    assert len(case.setting().rounds) == (3 if batch == 5 else 4)
    reasons = plan.images[LONE_CORE].programs["fp"].reasons.values()
    assert f"the forward pass of samples {'2-3' if batch == 5 else '6-7'} is in DRAM" in reasons
    assert "FP of layer 1, samples 0-1, rows 0-3, step 2" in reasons or chip == "tiny"


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    case, plan = random_case(rng, load("tiny"), int(rng.integers(2, 5)))
    case.check(plan, [None, rng.shuffle])


@pytest.mark.parametrize("seed", range(100, 112))
def test_random_networks_in_small_srams(seed):
    rng = np.random.default_rng(seed)
    chip = load("tiny", [*SMALL, *(["array.weight_words=2"] if seed % 2 else [])])
    case, plan = random_case(rng, chip, int(rng.integers(2, 5)))
    case.check(plan, [None, rng.shuffle])


def test_strips_tiles_and_weights_that_do_not_fit():
    chip = load("tiny", SMALL)
    layers = (
        Layer(m_size=11, kernel=(5, 3), padding=(2, 2, 1, 1), pool=2, th_l=2**-10),
        Layer(m_size=13, kernel=(3, 3), padding=(1, 1, 1, 1), th_l=2**-10),
        Layer(m_size=6, kernel=(2, 2), stride=(2, 2), padding=(0, 1, 1, 0)),
        Layer(m_size=7, fully_connected=True),
    )
    rng = np.random.default_rng(3)
    case = Case.random(rng, chip, layers, (9, 7, 6), batch=3, steps=2, planes=2)
    setting = case.setting()
    cuts = [*setting.forward, *setting.backward]
    for name in ("tiles", "strips", "samples"):
        assert max(len(getattr(cut, name)) for cut in cuts) > 1, name
    assert any(each.padded for each in setting.layout.s_out.values())
    assert not setting.forward_weights.resident
    assert not setting.backward_weights.resident
    record = case.check(case.plan(), all_orders(rng))
    assert all(layer.du.any() for layer in record.layers)


@pytest.mark.parametrize(
    "overrides",
    [
        ("format.exponent=5", "format.mantissa=2"),
        ("array.lanes=2",),
        ("array.lanes=8", "array.spike_pixels=8", "array.weight_words=4", "bp.s=16384"),
        ("dram.bus_bits=1024", "array.weight_words=2"),
        ("dram.bus_bits=32",),
    ],
    ids=" ".join,
)
def test_other_chips(overrides):
    rng = np.random.default_rng(6)
    case, plan = random_case(rng, load("tiny", overrides), 3)
    case.check(plan, [None, rng.shuffle])


def test_barriers_suffice_however_slow_a_unit_is():
    rng = np.random.default_rng(2)
    case, plan = random_case(rng, load("tiny"), 3, batch=4, steps=3)
    case.check(plan, all_orders(rng))


@pytest.mark.parametrize("planes, steps", [(0, 2), (3, 2), (3, 1)])
@pytest.mark.parametrize("constant", [True, False])
def test_inputs(planes, steps, constant):
    """Spikes and direct inputs, the same at every step and not."""
    rng = np.random.default_rng(planes)
    layers = (
        Layer(m_size=5, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        Layer(m_size=3, fully_connected=True),
    )
    case = Case.random(rng, load("tiny"), layers, (6, 7, 5), batch=3, steps=steps, planes=planes)
    shape = (1 if constant else steps, *case.x.shape[1:])
    x = rng.integers(0, 2 << planes, shape).astype(np.uint8)
    case = dataclasses.replace(case, x=x)
    record = case.check(case.plan())
    assert record.layers[0].du.any()


def test_a_layer_of_one_row_of_inputs():
    """Fully connected layers only: maps of one pixel."""
    rng = np.random.default_rng(4)
    layers = (Layer(m_size=18, fully_connected=True), Layer(m_size=5, fully_connected=True))
    case = Case.random(rng, load("tiny"), layers, (1, 1, 22), batch=6, steps=3, planes=0)
    assert case.check(case.plan()).layers[0].du.any()


@pytest.mark.parametrize("broken", ["weights", "targets", "rate"])
def test_a_status_stops_the_update(broken):
    """What is set in either sub-core does; what the update itself sets does not."""
    case = digits_case(load("tiny"), 2)
    if broken == "weights":
        case.weights[0].w_stored = np.full_like(case.weights[0].w_stored, 65504.0)
    elif broken == "targets":
        case.targets = np.full_like(case.targets, 65504.0)
    else:
        case.rule = dataclasses.replace(case.rule, lr=1e9)
    plan = case.plan()
    record = case.check(plan)
    assert record.status.overflow
    assert record.updated == (broken == "rate")


def test_steps_one_after_the_other_in_one_dram():
    """Another batch and other scalars; weights and programs stay where they are."""
    case = digits_case(load("tiny"), 4)
    plan = case.plan()
    drams, weights = case.drams(plan), copy.deepcopy(case.weights)
    chip = ChipModel(case.config, drams)
    data, _ = load_digits()
    for step in range(3):
        chosen = slice(4 * step, 4 * step + 4)
        x, targets = data.x[None, chosen], np.eye(CLASSES)[data.y[chosen]]
        rule = UpdateRule(lr=0.1 / (step + 1), mu=0.9, wd=0.01 * step, k=2.0 ** -(9 + step))
        plan.put_batch(drams, x, targets)
        plan.put_scalars(drams, rule, 2.0 ** (9 + step))
        outcomes = chip.run(plan.addresses)
        scale = 2.0 ** (9 + step)
        record = train_step(case.network, x, targets, weights, rule, loss_scale=scale)
        expect(plan, drams, outcomes, record)


def test_an_update_of_many_chunks_is_a_loop():
    chip = load("tiny", ["bp.dw=1536"])
    layers = (Layer(m_size=30, fully_connected=True), Layer(m_size=20, fully_connected=True))
    rng = np.random.default_rng(5)
    case = Case.random(rng, chip, layers, (1, 1, 40), batch=2, steps=2, planes=0)
    plan = case.plan()
    case.check(plan, [None, slow(rng, "bp", "write"), slow(rng, "bp", "wu")])
    assert any(
        "chunk by chunk" in reason
        for reason in plan.images[LONE_CORE].programs["bp"].reasons.values()
    )


CONV = Layer(m_size=5, kernel=(3, 3))
LAST = Layer(m_size=3, fully_connected=True)


def network(layers=(CONV, LAST), input_size=(6, 6, 3), steps=4, wg_samples=1, **settings):
    """A network that nothing is computed with."""
    return Network(
        layers=layers, input_size=input_size, steps=steps, wg_samples=wg_samples, **settings
    )


@pytest.mark.parametrize(
    "refused, overrides, batch, sentence",
    [
        (network(), [], 0, "batch must be at least 1, not 0"),
        (
            network(format=Float(5, 2)),
            [],
            2,
            "the network must be in the chip's format e5m10, not e5m2",
        ),
        (
            network(layers=(CONV,)),
            [],
            2,
            "the last layer's map must be of one pixel, for the loss, not 4x4",
        ),
        (
            network(input_size=(11, 10, 3)),
            [],
            2,
            "layer 1, fully connected, must read a map of at most 7x7 pixels, not 9x8",
        ),
        (
            network(layers=(dataclasses.replace(CONV, stride=(1, 2)), LAST)),
            [],
            2,
            "stride and padding of layer 0 must be at most 7, and the stride the same both ways, "
            "not (1, 2) and (0, 0, 0, 0)",
        ),
        (
            network(input_size=(6, 6, 58), planes=7),
            [],
            2,
            "a sum of FP over all bit planes in layer 0 must have at most 131072 terms, not 137700",
        ),
        (
            network(layers=(CONV, Layer(m_size=700, fully_connected=True)), input_size=(9, 9, 3)),
            [],
            2,
            "a sum of BP in layer 1 must have at most 32768 terms, not 34300",
        ),
        (
            network(input_size=(4100, 3, 3), layers=(CONV,)),
            [],
            2,
            "layer 0: h must be a whole number from 1 to 4095, not 4100",
        ),
        (
            network(
                layers=(Layer(m_size=5, stride=(3, 3), padding=(1, 0, 1, 0)), LAST),
                input_size=(1, 1, 3),
            ),
            [],
            2,
            "layer 0: output rows must see a row of the map of 1, and not padding alone",
        ),
        (
            network(),
            ["fp.u=48"],
            2,
            "FP of layer 0 must take at most 3 words of fp.u for the smallest part of a sample, "
            "not 4",
        ),
        (
            network(),
            ["bp.du_next=128"],
            2,
            "a sample of layer 0 must take at most 4 words of bp.du_next (a quarter of it) for WG, "
            "not 64",
        ),
        (
            network(wg_samples=5),
            [],
            8,
            "wg_samples must be at most 4 for layer 0, of which a sample takes 64 of 256 words of "
            "bp.du_next, not 5",
        ),
        (
            network(),
            ["bp.w=256"],
            2,
            "the weights of one channel tile of layer 1 must take at most 32 rows of bp.w, not 64",
        ),
        (
            network(),
            ["bp.dw=64"],
            2,
            "a row of the kernels of one tile of weights of layer 0 must take at most 4 words of "
            "bp.dw, and be whole beats of the bus, not 12 words",
        ),
        (
            network(layers=(LAST,), input_size=(1, 1, 3)),
            ["bp.dw=256", "dram.bus_bits=256"],
            2,
            "bp.dw and bp.w must have room for an update of 4 rows of weights at a time, not of 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(refused, overrides, batch, sentence):
    with pytest.raises(ValueError) as error:
        plan_step(refused, load("tiny", overrides), batch)
    assert str(error.value) == sentence


def test_what_a_step_is_given_is_checked():
    case = digits_case(load("tiny"), 2)
    with pytest.raises(ValueError, match="input_steps must be 1 or 4, not 3"):
        plan_step(case.network, case.config, 2, input_steps=3)
    plan = case.plan()
    drams = {LONE_CORE: np.zeros(plan.dram_bytes, np.uint8)}
    with pytest.raises(ValueError, match="the input must have the shape"):
        plan.put_batch(drams, case.x[:, :1], case.targets)
    with pytest.raises(ValueError, match="inputs must be whole numbers from 0 to 31, not 0 to 32"):
        plan.put_batch(drams, np.where(case.x == case.x.max(), 32, 0), case.targets)
    with pytest.raises(ValueError, match="targets must have the shape"):
        plan.put_batch(drams, case.x, case.targets[:, :3])


@pytest.mark.parametrize(("chip", "conv"), [("tiny", 1), ("paper", 2)])
def test_wg_takes_as_many_samples_as_fit(chip, conv):
    """Few where maps are large; of a fully connected layer, those of a row of kernels on paper."""
    config = load(chip)
    layers = (Layer(m_size=5, kernel=(3, 3), padding=(1, 1, 1, 1), pool=2), LAST)
    samples = samples_for(network(layers, (8, 8, 3)), config, 32)
    assert samples == (conv, 16)
    plan = plan_step(network(layers, (8, 8, 3), wg_samples=samples), config, 32)
    reasons = [
        each
        for each in plan.images[LONE_CORE].programs["bp"].reasons.values()
        if each.startswith("WG")
    ]
    assert any("of layer 1" in each and "samples 16-31" in each for each in reasons)
    with pytest.raises(ValueError, match=f"wg_samples must be at most {conv} for layer 0"):
        plan_step(network(layers, (8, 8, 3), wg_samples=(conv + 1, 16)), config, 32)


def test_rows_of_a_kernel_need_the_rows_of_inputs_that_they_see():
    """Of a quarter of bp.s, whole maps of one sample take most, and one row of all samples half."""
    chip = load("tiny", ["bp.s=64"])
    layers = (
        Layer(m_size=4, kernel=(3, 3), padding=(1, 1, 1, 1), th_l=2**-10),
        Layer(m_size=3, fully_connected=True),
    )
    rng = np.random.default_rng(8)
    case = Case.random(rng, chip, layers, (7, 3, 4), batch=4, steps=1, planes=0)
    samples = samples_for(case.network, chip, 4)
    assert samples == (1, 4)
    case.network = dataclasses.replace(case.network, wg_samples=samples)
    record = case.check(case.plan(), [None, rng.shuffle, slow(rng, "bp", "read")])
    assert record.layers[1].dw.any()
