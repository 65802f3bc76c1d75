"""Without this, the backward equations could be wrong in hardware and model alike.

On a coarse grid nothing is rounded, so the model has to be what automatic differentiation of the
forward equations gives, to the last bit; rounding cannot hide a wrong formula, nor look like one.
"""

import dataclasses

import autograd.numpy as anp
import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.presets import PRESETS
from backspike.network import Layer, Network
from backspike.sim.model import Status, UpdateRule, add_dw, read_bp, round_values, to_psum
from backspike.sim.model.network import Weights, backward, forward, loss_gradient, train_step
from tests.sim.model import autodiff
from tests.sim.model.reference import rng, same_bits

SAME = (1, 1, 1, 1)
COARSE = {"alpha": 0.5, "th_f": 1.0, "th_l": 0.0, "th_r": 2.0}


def network(*layers, size, steps=3, **settings):
    return Network(
        layers=tuple(Layer(**{**COARSE, **layer}) for layer in layers),
        input_size=size,
        steps=steps,
        **{"wg_samples": 16, **settings},
    )


NETWORKS = {
    "one layer": network({"m_size": 3, "kernel": (3, 3)}, size=(5, 6, 2)),
    "padded": network(
        {"m_size": 3, "kernel": (3, 3), "padding": (1, 0, 0, 2)},
        {"m_size": 2, "kernel": (3, 1), "padding": (0, 1, 0, 0)},
        size=(5, 6, 2),
    ),
    "strided": network(
        {"m_size": 4, "kernel": (3, 3), "padding": SAME, "stride": (2, 2)},
        {"m_size": 3, "kernel": (2, 3), "stride": (1, 2)},
        size=(8, 9, 2),
    ),
    "pooled": network(
        {"m_size": 4, "kernel": (3, 3), "padding": SAME, "pool": 2},
        {"m_size": 4, "kernel": (3, 3), "padding": SAME, "pool": 3},
        size=(6, 7, 2),
    ),
    "whole": network(
        {"m_size": 3, "kernel": (3, 3), "padding": SAME, "pool": 2},
        {"m_size": 5, "fully_connected": True},
        {"m_size": 4, "fully_connected": True},
        size=(4, 4, 2),
    ),
    "planes": network(
        {"m_size": 4, "kernel": (3, 3), "padding": SAME, "th_l": 0.5, "th_r": 1.5},
        {"m_size": 4, "fully_connected": True},
        size=(3, 4, 1),
        steps=2,
        planes=1,
    ),
}


def coarse_weights(random, shape):
    """Whole numbers, mostly 0: few enough bits that sums and products of them stay exact."""
    count = int(np.prod(shape[1:]))
    share = min(0.6, 6 / count)
    return random.choice([-1.0, 1.0, 2.0], shape) * (random.random(shape) < share)


def inputs(random, net, samples):
    """Whole numbers as the model takes them, and the real numbers they stand for."""
    leading = (1 if net.planes else net.steps, samples)
    x = random.integers(0, 2 << net.planes, (*leading, *net.input_size))
    return x, x / 2.0**net.planes


@pytest.mark.parametrize("seed", [3, 15, 19, 20, 35, 37])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_automatic_differentiation_to_the_bit(name, seed):
    net = NETWORKS[name]
    random = rng([seed, len(name)])
    samples = 3
    x, real = inputs(random, net, samples)
    w = [coarse_weights(random, shape) for shape in net.weight_shapes]
    g = random.integers(-1, 2, (net.steps, samples, *net.maps[-1])).astype(np.float64)
    u, du, dw = autodiff.differentiate(
        net, w, real, lambda out: sum(anp.sum(s * g[t]) for t, s in enumerate(out))
    )
    # Seeds are chosen so that all of it is exact, and so that gradients reach every layer.
    assert all(np.array_equal(round_values(array), array) for array in (*u, *du))
    assert all(np.count_nonzero(array) > array.size / 4 for array in dw)
    status = Status()
    records = forward(net, x, [Weights.start(a) for a in w], status=status)
    psum = to_psum(g, lsb=BINARY16.product_lsb, bits=BINARY16.product_psum_bits)
    backward(net, records, psum, status=status)
    for layer in range(len(w)):
        assert np.array_equal(records[layer].u, u[layer])
        assert np.array_equal(records[layer].du, du[layer])
        assert np.array_equal(records[layer].dw, dw[layer])
    assert not status


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_real_weights_differ_by_rounding_only(name):
    net = NETWORKS[name]
    random = rng([9, len(name)])
    samples = 4
    x, real = inputs(random, net, samples)
    w = [
        round_values(random.normal(scale=1.5 / np.sqrt(np.prod(shape[1:])), size=shape))
        for shape in net.weight_shapes
    ]
    g = round_values(random.normal(size=(net.steps, samples, *net.maps[-1])))
    u, du, dw = autodiff.differentiate(
        net, w, real, lambda out: sum(anp.sum(s * g[t]) for t, s in enumerate(out))
    )
    records = forward(net, x, [Weights.start(a) for a in w], status=Status())
    backward(
        net,
        records,
        to_psum(g, lsb=BINARY16.product_lsb, bits=BINARY16.product_psum_bits),
        status=Status(),
    )
    # A handful of roundings to 11 bits, each of at most 2**-11 of the largest number about.
    tolerance = 16 * 2.0**-11
    for layer, record in enumerate(records):
        # Should rounding move a potential across a threshold: choose another seed.
        assert np.array_equal(record.s, u[layer] >= 1)
        for mine, exact in ((record.u, u), (record.du, du), (record.dw, dw)):
            error = np.abs(mine - exact[layer]).max()
            assert error <= tolerance * np.abs(exact[layer]).max()


def test_the_fire_mask_changes_no_gradient():
    net = NETWORKS["padded"]
    random = rng(4)
    x, _ = inputs(random, net, 2)
    weights = [Weights.start(random.normal(size=shape)) for shape in net.weight_shapes]
    psum = np.full((net.steps, 2, *net.maps[-1]), 1 << 32)
    both = []
    for masked in (True, False):
        variant = dataclasses.replace(net, fire_mask=masked)
        records = forward(variant, x, weights, status=Status())
        backward(variant, records, psum, status=Status())
        assert (records[0].mask is None) != masked
        both.append(records)
    for a, b in zip(*both, strict=True):
        assert same_bits(a.du, b.du)
    assert (both[0][0].psum_bp != both[1][0].psum_bp).any()


def test_loss_gradient_is_that_of_the_loss():
    random = rng(5)
    s = random.random((4, 8, 1, 1, 10)) < 0.4
    targets = np.eye(10)[random.integers(0, 10, 8)][:, None, None]
    status = Status()
    rates, gradient = loss_gradient(s, targets, 1 / 32, status=status)

    def loss(s):
        return anp.sum((anp.mean(s, axis=0) - targets) ** 2) / (2 * 8)

    expected = autodiff.autograd.grad(loss)(s.astype(np.float64))
    assert all(same_bits(gradient + 0.0, step + 0.0) for step in expected)
    assert np.array_equal(rates, s.mean(axis=0))
    assert not status


@pytest.mark.parametrize("each", [False, True])
def test_dw_is_summed_up_in_the_order_of_the_schedule(each):
    net = NETWORKS["planes"]
    wg_samples = (6, *range(1, len(net.layers))) if each else 6
    random = rng(6)
    samples = 16
    x, _ = inputs(random, net, samples)
    weights = [Weights.start(random.normal(size=shape)) for shape in net.weight_shapes]
    # Gradients of very different sizes, so that additions of dw have something to round.
    scale = 2.0 ** random.integers(-20, 8, (net.steps, samples, 1, 1, 1))
    gradient = round_values(random.normal(size=(net.steps, samples, *net.maps[-1])) * scale)
    psum = to_psum(gradient, lsb=-32, bits=64)
    records = forward(net, x, weights, status=Status())
    backward(dataclasses.replace(net, wg_samples=wg_samples), records, psum, status=Status())
    # Groups of samples one after the other; in each, planes ascending: exact sums, rounded.
    expected = None
    for group in (slice(0, 6), slice(6, 12), slice(12, 16)):
        for plane, bits in enumerate((x[:, group] >> 1, x[:, group] & 1)):
            part = np.zeros(weights[0].w.shape)
            padded = np.pad(bits[0], [(0, 0), (1, 1), (1, 1), (0, 0)])
            du = records[0].du[:, group].sum(axis=0)
            for r, s in np.ndindex(3, 3):
                seen = padded[:, r : r + 3, s : s + 4]
                part[:, :, r, s] = np.einsum("nefm,nefc->mc", du, seen)
            part = (part / 2.0**plane).astype(np.float32)
            expected = part if expected is None else add_dw(expected, part, status=Status())
    assert same_bits(records[0].dw, expected)
    whole = forward(net, x, weights, status=Status())
    backward(net, whole, psum, status=Status())
    assert not np.array_equal(whole[0].dw, records[0].dw)
    assert np.allclose(whole[0].dw, records[0].dw, rtol=1e-5, atol=1e-6)


def steps_of(net, weights, count, **settings):
    random = rng(7)
    for _ in range(count):
        x, _ = inputs(random, net, 3)
        targets = np.eye(net.maps[-1][-1])[random.integers(0, net.maps[-1][-1], 3)]
        yield train_step(
            net, x, targets, weights, UpdateRule(lr=0.1, mu=0.9, k=2.0**-4), **settings
        )


@pytest.mark.parametrize("format", [BINARY16, Float(5, 2)], ids=str)
def test_a_training_step_goes_on_where_the_one_before_ended(format):
    net = dataclasses.replace(NETWORKS["whole"], format=format)
    random = rng(8)
    weights = [Weights.start(random.normal(size=s), format) for s in net.weight_shapes]
    first, second = steps_of(net, weights, 2, loss_scale=16)
    assert first.updated
    assert any((layer.w != layer.w_new).any() for layer in first.layers)
    assert np.array_equal(second.layers[0].v, first.layers[0].v_new)
    assert second.loss > 0
    # What Grad reads is what the loss gave, at every time step.
    conv = read_bp(second.layers[-1].psum_bp, status=Status(), format=format)
    assert all(np.array_equal(step, second.gradient) for step in conv)


def test_a_status_stops_the_update():
    net = NETWORKS["whole"]
    weights = [Weights.start(np.full(shape, 0.25)) for shape in net.weight_shapes]
    weights[1].w_stored[0, 0] = np.inf
    (record,) = steps_of(net, weights, 1)
    assert record.status.invalid
    assert not record.updated
    for layer, state in zip(record.layers, weights, strict=True):
        assert layer.w_new is layer.w is state.w
        assert (state.v == 0).all()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Layer(m_size=0), "m_size and pool must be at least 1, not 0 and 1"),
        (
            lambda: Layer(m_size=1, fully_connected=True, kernel=(3, 3)),
            r"kernel and stride \(1, 1\) and no padding, not \(3, 3\), \(1, 1\) and \(0, 0, 0, 0\)",
        ),
        (
            lambda: network({"m_size": 1, "th_l": 0.001}, size=(1, 1, 1)),
            "th_l of layer 0 must be a number of the format e5m10, not 0.001",
        ),
        (lambda: network(size=(1, 1, 1)), "layers must be at least one Layer, not none"),
        (lambda: network({"m_size": 1}, size=(1, 1, 1), steps=0), "steps must be at least 1"),
        *(
            (
                lambda wrong=wrong: network({"m_size": 1}, size=(1, 1, 1), wg_samples=wrong),
                "wg_samples must be a number of at least 1, or 1 of them, one for each layer, not",
            )
            for wrong in (0, (), (0,), (1, 1))
        ),
        (
            lambda: network({"m_size": 1, "pool": 3}, size=(2, 3, 1)),
            r"^layer 0: pool must be at most the map's size 2x3, not 3$",
        ),
        (
            lambda: network({"m_size": 1, "kernel": (3, 3)}, size=(2, 3, 1)),
            "^layer 0: a kernel of 3x3 must fit the padded map, not one of 2x3$",
        ),
        (
            lambda: Network.for_chip(
                PRESETS["paper"],
                layers=(Layer(m_size=1, kernel=(9, 9)),),
                input_size=(9, 9, 1),
                steps=1,
                wg_samples=1,
            ),
            r"kernel of layer 0 must be at most 7 high and wide, not \(9, 9\)",
        ),
        (
            lambda: Network.for_chip(
                PRESETS["paper"],
                layers=(Layer(m_size=1),),
                input_size=(9, 9, 1),
                steps=1,
                wg_samples=1,
                planes=16,
            ),
            r"planes must be at most 15, not 16",
        ),
        (
            lambda: Network.for_chip(
                PRESETS["paper"],
                layers=(Layer(m_size=1, kernel=(7, 7)),),
                input_size=(9, 9, 1),
                steps=1,
                wg_samples=1,
                planes=8,
            ),
            "a sum of FP over all bit planes in layer 0 must have at most 131072 terms, not 400624",
        ),
        (
            lambda: Network.for_chip(
                PRESETS["paper"],
                layers=(Layer(m_size=1), Layer(m_size=1024, kernel=(7, 7))),
                input_size=(9, 9, 1),
                steps=1,
                wg_samples=1,
            ),
            "a sum of BP in layer 1 must have at most 32768 terms, not 50176",
        ),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_inputs_that_do_not_fit_are_refused():
    net = NETWORKS["planes"]
    weights = [Weights.start(np.zeros(shape)) for shape in net.weight_shapes]
    with pytest.raises(ValueError, match=r"\(1 or 2, samples, 3, 4, 1\), not \(3, 2, 3, 4, 1\)"):
        forward(net, np.zeros((3, 2, 3, 4, 1)), weights, status=Status())
    with pytest.raises(ValueError, match="whole numbers from 0 to 3, not 0 to 4"):
        forward(net, np.arange(24).reshape(1, 2, 3, 4, 1) // 5, weights, status=Status())
