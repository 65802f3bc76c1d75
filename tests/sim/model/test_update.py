"""Without this, an update fused, reordered or done in float64 would drift from the hardware."""

import numpy as np

from backspike.hw.arith.format import BINARY16, BINARY32
from backspike.sim.model import Status, UpdateRule, encode, update
from tests.sim.model.reference import each, rng, round_fraction, same_bits


def test_every_operation_is_rounded_to_binary32():
    from fractions import Fraction

    random = rng(1)
    w, v, dw = (random.normal(size=(3, 400)) * 2.0 ** random.integers(-12, 4, (3, 400))).astype(
        np.float32
    )
    rule = UpdateRule(lr=0.1, mu=0.9, wd=1e-3, k=2.0**-10)
    status = Status()
    result = update(w, v, dw, rule, status=status)

    def rounded(x):
        return Fraction(round_fraction(x, BINARY32))

    lr, mu, wd, k = (Fraction(float(np.float32(x))) for x in (0.1, 0.9, 1e-3, 2.0**-10))
    for i in range(w.size):
        w_i, v_i, dw_i = (Fraction(float(a[i])) for a in (w, v, dw))
        g = rounded(rounded(k * dw_i) + rounded(wd * w_i))
        v_i = rounded(rounded(mu * v_i) + g)
        w_i = rounded(w_i - rounded(lr * v_i))
        assert (float(result.v[i]), float(result.w[i])) == (float(v_i), float(w_i))
    stored = each(lambda x: round_fraction(Fraction(float(x)), BINARY16), result.w)
    assert same_bits(result.w_stored, stored)
    assert result.w.dtype == result.v.dtype == np.float32
    assert status == Status()


def test_subnormals_are_kept():
    zero = np.zeros(1, np.float32)
    rule = UpdateRule(lr=1.0, k=2.0**-20)
    result = update(zero, zero, np.array([2.0**-120], np.float32), rule, status=Status())
    assert result.w[0] == -(2.0**-140)
    assert same_bits(result.w_stored, [-0.0])


def test_overflow_and_nan_set_statuses():
    one = np.ones(1, np.float32)
    status = Status()
    result = update(one * 65504, one * 0, one * -1e5, UpdateRule(lr=1.0), status=status)
    assert np.isfinite(result.w).all()
    assert status == Status(overflow=True)  # as binary16
    assert same_bits(result.w_stored, [np.inf])
    status = Status()
    result = update(one, one * np.float32(np.inf), one, UpdateRule(lr=1.0, mu=0.0), status=status)
    assert status == Status(invalid=True)
    assert result.w.view(np.uint32).tolist() == [BINARY32.nan]
    assert encode(result.w_stored).tolist() == [BINARY16.nan]
