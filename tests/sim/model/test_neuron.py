"""Without this, an operation in another order, or a carried term left out, would go unnoticed."""

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16
from backspike.sim.model import (
    Status,
    add,
    compare,
    decode,
    fire,
    grad,
    multiply,
    pool_spikes,
    soma,
    subtract,
    unpool,
)
from tests.sim.model.reference import FORMATS, random_values, rng, round_fraction, same_bits

QUIET, OVERFLOW, INVALID = Status(), Status(overflow=True), Status(invalid=True)
NEURON = {"alpha": 0.625, "th_f": 1.0}
WINDOW = {"th_l": 0.0, "th_r": 2.0}


def f16(values):
    return np.asarray(values, np.float16)


@pytest.fixture(autouse=True)
def quiet_numpy():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize(
    "operation",
    [(add, np.add), (subtract, np.subtract), (multiply, np.multiply)],
    ids=lambda o: o[1].__name__,
)
def test_operations_are_those_of_numpy_float16(operation):
    mine, numpys = operation
    random = rng(1)
    a, b = decode(random.integers(0, 1 << 16, (2, 20000)))
    status = Status()
    expected = numpys(f16(a), f16(b))
    assert same_bits(mine(a, b, status=status), expected)
    assert status == Status(overflow=True, invalid=True)
    finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(expected)
    status.clear()
    mine(a[finite], b[finite], status=status)
    assert status == QUIET


@pytest.mark.parametrize("format", FORMATS[1:], ids=str)
def test_operations_in_other_formats_are_rounded_once(format):
    from fractions import Fraction

    values = decode(np.arange(1 << format.width), format)
    values = values[np.isfinite(values)]
    for a in values[::7]:
        for mine, exact in ((add, Fraction.__add__), (multiply, Fraction.__mul__)):
            result = mine(values, a, status=Status(), format=format)
            expected = [round_fraction(exact(Fraction(v), Fraction(a)), format) for v in values]
            assert np.array_equal(result, expected)


def test_statuses_of_operations_follow_ieee():
    for a, b, expected in (
        (np.inf, 1.0, QUIET),
        (65504.0, 65504.0, OVERFLOW),
        (np.inf, -np.inf, INVALID),
        (np.nan, 1.0, INVALID),
    ):
        status = Status()
        add(np.array([a]), b, status=status)
        assert status == expected
    assert compare(np.array([0.5, 1.0, 2.0, 2.5, np.nan, -0.0]), 1.0, 2.0).tolist() == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("kind", ["any", "ordinary"])
@pytest.mark.parametrize("t_acc", [True, False])
def test_soma_is_its_equation_in_numpy_float16(kind, t_acc):
    random = rng([2, t_acc])
    conv, u_prev = random_values(random, (2, 4, 6, 5, 7), BINARY16, kind)
    s_prev = random.random(conv.shape) < 0.5
    result = soma(conv, u_prev, s_prev, t_acc=t_acc, **NEURON, status=Status())
    carried = np.where(s_prev | (not t_acc), f16(0), f16(0.625) * f16(u_prev))
    u = carried + f16(conv)
    assert same_bits(result.u, u)
    assert np.array_equal(result.s, u >= 1)
    assert result.s_out is result.s


@pytest.mark.parametrize("kind", ["any", "ordinary"])
@pytest.mark.parametrize("t_acc", [True, False])
def test_grad_is_its_equation_in_numpy_float16(kind, t_acc):
    random = rng([3, t_acc])
    conv, du_next, u = random_values(random, (3, 4, 6, 5, 7), BINARY16, kind)
    result = grad(conv, du_next, u, t_acc=t_acc, **NEURON, **WINDOW, status=Status())
    p = f16(0.625) * f16(du_next) if t_acc else f16(np.zeros_like(u))
    q = p * f16(u) if t_acc else p
    active = (u >= 0) & (u <= 2)
    du = np.where(u >= 1, f16(0), p) + np.where(active, f16(conv) - q, f16(0))
    assert same_bits(result, du)


def one(value):
    return np.full((1, 1, 1), value, np.float64)


def test_without_a_step_before_the_carried_term_is_plus_zero():
    assert same_bits(soma(one(-0.0), t_acc=False, **NEURON, status=Status()).u, one(0.0))
    # The subtraction of +0 is done: -0 - +0 = -0, and -0 + +0 = +0.
    result = grad(one(-0.0), None, one(0.5), t_acc=False, **NEURON, **WINDOW, status=Status())
    assert same_bits(result, one(0.0))
    # -0 is carried where there is a step before: -0 + -0 = -0.
    result = soma(one(-0.0), one(-0.0), one(0), **NEURON, status=Status())
    assert same_bits(result.u, one(-0.0))
    with pytest.raises(ValueError, match=r"u_prev and s_prev must be given .*, not None"):
        soma(one(0), **NEURON, status=Status())
    with pytest.raises(ValueError, match=r"du_next must be given .*, not None"):
        grad(one(0), None, one(0), **NEURON, **WINDOW, status=Status())


def soma_status(conv, u_prev, s_prev, **change):
    status = Status()
    soma(one(conv), one(u_prev), one(s_prev), **{**NEURON, **change}, status=status)
    return status


def grad_status(conv, du_next, u, **change):
    status = Status()
    grad(one(conv), one(du_next), one(u), **{**NEURON, **WINDOW, **change}, status=status)
    return status


def test_statuses_count_what_is_used():
    assert soma_status(1.0, 60000.0, 0, alpha=2.0) == OVERFLOW
    assert soma_status(1.0, 60000.0, 1, alpha=2.0) == QUIET
    assert soma_status(1.0, np.nan, 0) == INVALID
    assert soma_status(1.0, np.nan, 1) == QUIET
    assert soma_status(1.0, np.nan, 0, t_acc=False) == QUIET
    assert soma_status(np.nan, 1.0, 1) == INVALID
    # p is used unless there is a spike outside of the window.
    assert grad_status(1.0, 60000.0, 1.0, alpha=2.0) == OVERFLOW
    assert grad_status(1.0, 60000.0, -1.0, alpha=2.0) == OVERFLOW
    assert grad_status(1.0, 60000.0, 3.0, alpha=2.0) == QUIET
    # p * u and the difference are used inside the window only.
    assert grad_status(1.0, 60000.0, 1.5) == QUIET
    assert grad_status(1.0, 60000.0, 1.75) == OVERFLOW
    assert grad_status(-65504.0, 60000.0, 1.5) == OVERFLOW
    assert grad_status(-65504.0, 60000.0, 3.0) == QUIET
    assert grad_status(np.nan, 1.0, 1.0) == INVALID
    assert grad_status(np.nan, 1.0, 3.0) == QUIET
    assert grad_status(1.0, np.nan, 1.0, t_acc=False) == QUIET


def test_nan_potentials_neither_fire_nor_learn():
    status = Status()
    result = soma(one(np.nan), t_acc=False, **NEURON, status=status)
    assert not result.s.any()
    assert not fire(result.u, **WINDOW).any()


def test_channels_beyond_m_size_are_silent():
    conv = np.full((2, 2, 4), np.nan)
    conv[..., :2] = 3.0
    status = Status()
    result = soma(conv, conv, np.zeros_like(conv), m_size=2, pool=2, **NEURON, status=status)
    assert result.s.any(axis=(0, 1)).tolist() == [True, True, False, False]
    assert result.s_out.ravel().tolist() == [True, True, False, False]
    assert same_bits(result.u[..., 2:], np.zeros((2, 2, 2)))
    u = np.full_like(conv, 1.0)
    du = grad(
        result.s_out * conv[:1, :1], conv, u, m_size=2, pool=2, **NEURON, **WINDOW, status=status
    )
    assert same_bits(du[..., 2:], np.zeros((2, 2, 2)))
    assert status == QUIET
    # Thresholds below zero make silent channels fire, but not these.
    assert not soma(one(0.0), t_acc=False, alpha=0.5, th_f=-1.0, m_size=0, status=status).s.any()


def test_pooling_is_an_or_whose_gradient_goes_to_the_first_spike():
    s = np.zeros((4, 6, 1), bool)
    s[0, 3] = s[1, 2] = True  # window (0, 1): row-major order, not column-major
    s[3, 5] = True  # window (1, 2)
    conv = np.arange(1.0, 7.0).reshape(2, 3, 1)
    assert pool_spikes(s, 2)[..., 0].tolist() == [[False, True, False], [False, False, True]]
    expected = np.zeros((4, 6))
    expected[0, 0], expected[0, 3], expected[0, 4] = 1, 2, 3
    expected[2, 0], expected[2, 2], expected[3, 5] = 4, 5, 6
    assert np.array_equal(unpool(conv, s, 2)[..., 0], expected)


@pytest.mark.parametrize("pool", [2, 3])
def test_partial_windows_are_left_out(pool):
    random = rng(pool)
    s = random.random((2, 7, 8, 3)) < 0.4
    rows, columns = 7 // pool, 8 // pool
    assert pool_spikes(s, pool).shape == (2, rows, columns, 3)
    gradient = unpool(np.full((2, rows, columns, 3), -1.0), s, pool)
    assert gradient.sum() == -2 * rows * columns * 3
    assert same_bits(gradient[:, rows * pool :], np.zeros((2, 7 - rows * pool, 8, 3)))
    # They still decay and learn from the step after.
    u, du_next = np.full(s.shape, 0.5), np.full(s.shape, 1.0)
    du = grad(
        np.zeros((2, rows, columns, 3)),
        du_next,
        u,
        pool=pool,
        alpha=0.5,
        th_f=1.0,
        **WINDOW,
        status=Status(),
    )
    assert (du == 0.25).all()


def test_pools_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="pool must be from 1 to the map's size 2x3, not 3"):
        pool_spikes(np.zeros((2, 3, 1), bool), 3)
    with pytest.raises(ValueError, match=r"the shape \(1, 1, 1\), not \(2, 2, 1\)"):
        unpool(np.zeros((2, 2, 1)), np.zeros((2, 3, 1), bool), 2)
