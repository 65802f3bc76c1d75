"""Without this, hardware and model could agree on sums that are not those of the contract."""

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, BINARY32
from backspike.sim.model import (
    Status,
    add_dw,
    psum_bp,
    psum_fp,
    psum_nan,
    psum_wg,
    read_bp,
    read_fp,
    read_wg,
)
from backspike.sim.model.conv import bp_sums as fast_bp_sums
from backspike.sim.model.conv import plain_bp_sums
from backspike.sim.model.geometry import Geometry
from tests.sim.model import reference
from tests.sim.model.reference import FORMATS, each, random_values, rng, same_bits

KERNELS = [(1, 1), (3, 3), (5, 5), (7, 7), (2, 4), (1, 3)]


def random_geometry(random, kernel):
    """Odd sizes, any strides up to 3, any padding per side that the kernel reaches into."""
    padding = tuple(int(random.integers(0, k)) for k in np.repeat(kernel, 2))
    least = [max(1, k - sum(padding[2 * i : 2 * i + 2])) for i, k in enumerate(kernel)]
    return Geometry(
        h_size=int(least[0] + random.integers(0, 4)),
        w_size=int(least[1] + random.integers(0, 4)),
        r_size=kernel[0],
        s_size=kernel[1],
        stride=tuple(int(x) for x in random.integers(1, 4, 2)),
        padding=padding,
    )


def settings(geometry):
    return {"stride": geometry.stride, "padding": geometry.padding}


def check(sums, psum, rounded, status, lsb, bits, target, scale=0):
    """Psums, rounded values and statuses are those of the plain sums."""
    overflow = any(s.overflow for s in sums.flat)
    invalid = any(s.invalid for s in sums.flat)
    assert status == Status(overflow, invalid)
    assert np.array_equal(psum, each(lambda s: s.psum(lsb, bits), sums, np.int64))
    assert same_bits(rounded, each(lambda s: s.rounded(target, scale), sums))


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("kind", ["any", "ordinary", "large"])
@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_sums_are_those_of_the_contract(kernel, kind, format):
    random = rng([*kernel, len(kind), format.exponent, format.mantissa])
    for planes in (0, 2):
        g = random_geometry(random, kernel)
        x = random.integers(0, 2 << planes, (2, g.h_size, g.w_size, 3))
        w = random_values(random, (2, 3, *kernel), format, kind)
        if planes == 0:
            du = random_values(random, (2, g.e_size, g.f_size, 2), format, kind)
            check_bp(du, w, g, format, random.random(x.shape) < 0.7)
            check_wg(x, du, g, format, plane=int(random.integers(0, 5)))
        status = Status()
        psum = psum_fp(x, w, **settings(g), status=status, format=format)
        rounded = read_fp(psum, planes=planes, status=Status(), format=format)
        sums = reference.fp_sums(x, w, g)
        check(sums, psum, rounded, status, format.lsb, format.psum_bits, format, planes)


def check_bp(du, w, g, format, mask):
    for active in (None, mask):
        status = Status()
        psum = psum_bp(
            du,
            w,
            size=(g.h_size, g.w_size),
            mask=active,
            **settings(g),
            status=status,
            format=format,
        )
        rounded = read_bp(psum, status=Status(), format=format)
        sums = reference.bp_sums(du, w, g, format, np.ones_like(mask) if active is None else mask)
        bits = format.product_psum_bits
        check(sums, psum, rounded, status, format.product_lsb, bits, format)


def check_wg(x, du, g, format, plane):
    status = Status()
    psum = psum_wg(x, du, kernel=(g.r_size, g.s_size), **settings(g), status=status, format=format)
    rounded = read_wg(psum, plane=plane, status=Status(), format=format)
    assert rounded.dtype == np.float32
    sums = reference.wg_sums(x, du, g)
    check(sums, psum, rounded, status, format.lsb, format.psum_bits, BINARY32, plane)


def test_compiled_bp_is_plain_bp():
    random = rng(5)
    for kernel in KERNELS:
        for _ in range(5):
            g = random_geometry(random, kernel)
            du = random_values(random, (3, g.e_size, g.f_size, 5), BINARY16, "ordinary")
            w = random_values(random, (5, 4, *kernel), BINARY16, "ordinary")
            for a, b in zip(
                fast_bp_sums(du, w, g, BINARY16), plain_bp_sums(du, w, g, BINARY16), strict=True
            ):
                assert np.array_equal(a, b)


def pixel(*channels):
    return np.array([[channels]], np.float64)


def fp(x, w, **extra):
    """Psum, value and statuses of one output, from channels of one pixel."""
    status = Status()
    psum = psum_fp(pixel(*x), np.array([[[[v]] for v in w]]), status=status, **extra)
    return int(psum[0, 0, 0]), float(read_fp(psum, status=Status())[0, 0, 0]), status


def bp(du, w, **extra):
    status = Status()
    w = np.array([[[[v]]] for v in w])
    psum = psum_bp(pixel(*du), w, size=(1, 1), status=status, **extra)
    return int(psum[0, 0, 0]), float(read_bp(psum, status=Status())[0, 0, 0]), status


QUIET, OVERFLOW, INVALID = Status(), Status(overflow=True), Status(invalid=True)
FP_NAN, BP_NAN = psum_nan(58), psum_nan(64)


def test_only_what_takes_part_counts():
    assert fp([0, 1], [np.nan, 1.0])[1:] == (1.0, QUIET)
    for special in (np.nan, np.inf, -np.inf):
        psum, value, status = fp([1, 1], [special, 1.0])
        assert (psum, np.isnan(value), status) == (FP_NAN, True, INVALID)
        assert bp([0.0, -0.0, 1.0], [special, special, 2.0])[1:] == (2.0, QUIET)
        assert bp([special, 1.0], [0.0, 1.0])[0::2] == (BP_NAN, INVALID)
        assert bp([1.0, 1.0], [special, 1.0])[0::2] == (BP_NAN, INVALID)
        status = Status()
        psum = psum_wg(pixel(0, 1), pixel(special), kernel=(1, 1), status=status)
        assert psum.ravel().tolist() == [0, FP_NAN]
        assert status == INVALID


def test_products_off_the_grid_overflow():
    assert bp([256.0], [256.0])[0::2] == (BP_NAN, OVERFLOW)
    assert bp([-256.0, 1.0], [256.0, 1.0])[0::2] == (BP_NAN, OVERFLOW)
    assert bp([65504.0], [1.0])[1:] == (65504.0, QUIET)
    # Twice that is a sum in the psum, and an infinity when read.
    psum, value, status = bp([65504.0, 65504.0], [1.0, 1.0])
    assert (psum, value, status) == (65504 << 33, np.inf, QUIET)
    status = Status()
    read_bp(np.array([psum]), status=status)
    assert status == OVERFLOW


def test_products_are_truncated_toward_zero():
    tiny = 2.0**-24
    assert bp([tiny], [tiny])[:2] == (0, 0.0)
    assert bp([-tiny, -tiny], [2.0**-9, 2.0**-9])[0] == 0
    assert bp([-tiny], [2.0**-7 * 1.5])[0] == -3
    assert bp([-tiny], [2.0**-8 * 1.5])[0] == -1


def test_signs_of_zero():
    # Exact zeros are +0, of whatever signs.
    assert same_bits(fp([1, 1], [-0.0, -0.0])[1], 0.0)
    assert same_bits(fp([1, 1], [1.0, -1.0])[1], 0.0)
    assert same_bits(bp([-1.0], [0.0])[1], 0.0)
    # Non-zero sums that round to zero keep their sign.
    psum, value, _ = bp([-(2.0**-24)], [2.0**-2])
    assert psum == -(1 << 6)
    assert same_bits(value, -0.0)
    status = Status()
    assert same_bits(read_fp(np.array([-1]), planes=2, status=status), [-0.0])


def test_psum_acc_continues_a_sum():
    random = rng(6)
    w = random_values(random, (3, 8, 3, 3), BINARY16, "large")
    x = random.random((2, 5, 5, 8)) < 0.5
    status = Status()
    whole = psum_fp(x, w, status=status)
    first = psum_fp(x[..., :5], w[:, :5], status=status)
    assert np.array_equal(whole, psum_fp(x[..., 5:], w[:, 5:], acc=first, status=status))
    # Planes one by one, each counted as 2**(B-b).
    planes = random.integers(0, 8, (2, 5, 5, 8))
    whole, acc = psum_fp(planes, w, status=status), None
    for plane in range(3):
        acc = psum_fp(planes & (4 >> plane), w, acc=acc, status=status)
    assert np.array_equal(whole, acc)
    assert status == QUIET


def test_the_reserved_integer_stays_and_sets_nothing():
    # 1 + reserved must not be a number; and reserved - 1 would wrap around.
    for value in (1.0, -1.0, 0.0):
        assert fp([1], [value], acc=np.full((1, 1, 1), FP_NAN))[0::2] == (FP_NAN, QUIET)
        assert bp([1.0], [value], acc=np.full((1, 1, 1), BP_NAN))[0::2] == (BP_NAN, QUIET)


def test_masked_lanes_contribute_nothing_and_set_nothing():
    off = np.zeros((1, 1, 1))
    for du, w in ((1.0, np.nan), (300.0, 300.0), (1.0, 1.0)):
        assert bp([du], [w], mask=off) == (0, 0.0, QUIET)
        assert bp([du], [w], mask=off, acc=np.full((1, 1, 1), 7))[0::2] == (7, QUIET)
        assert bp([du], [w], mask=off, acc=np.full((1, 1, 1), BP_NAN))[0::2] == (BP_NAN, QUIET)
    assert bp([1.0], [1.0], mask=~off.astype(bool), acc=np.full((1, 1, 1), 7))[0] == (1 << 32) + 7


def test_pixels_that_nothing_reaches_are_zero():
    status = Status()
    du = np.ones((1, 2, 2, 1))
    psum = psum_bp(du, np.ones((1, 1, 1, 1)), size=(4, 4), stride=2, status=status)
    assert psum[0, 3].tolist() == [[0]] * 4
    assert psum.sum() == 4 << 32


def test_sums_past_float64_are_exact():
    # 2**15 terms of 2**40 units and one of one unit: 56 bits.
    count = 1 << 15
    w = np.full((1, count + 1, 1, 1), 65504.0)
    w[0, -1] = 2.0**-24
    status = Status()
    psum = psum_fp(np.ones((1, 1, count + 1)), w, status=status)
    assert int(psum[0, 0, 0]) == count * (65504 << 24) + 1
    du = w[0].reshape(count + 1, 1, 1, 1)
    psum = psum_wg(np.ones_like(du), du, kernel=(1, 1), status=status)
    assert int(psum[0, 0, 0, 0]) == count * (65504 << 24) + 1
    assert status == QUIET


def test_sums_may_be_as_long_as_their_psums_allow():
    count, status = 1 << 17, Status()
    psum = psum_fp(np.ones((1, 1, count)), np.full((1, count, 1, 1), -65504.0), status=status)
    assert int(psum[0, 0, 0]) == -count * (65504 << 24)
    with pytest.raises(ValueError, match=r"at most 2\*\*17 = 131072 terms, not 131073$"):
        psum_fp(np.ones((1, 1, count + 1)), np.zeros((1, count + 1, 1, 1)), status=status)
    with pytest.raises(ValueError, match=r"not 262144$"):
        psum_fp(np.full((1, 1, count // 2), 4), np.zeros((1, count // 2, 1, 1)), status=status)
    with pytest.raises(ValueError, match=r"WG must have at most .* not 131073$"):
        psum_wg(
            np.ones((count + 1, 1, 1, 1)),
            np.zeros((count + 1, 1, 1, 1)),
            kernel=(1, 1),
            status=status,
        )
    terms = 1 << 15
    psum = psum_bp(
        np.ones((1, 1, terms)), np.full((terms, 1, 1, 1), -65504.0), size=(1, 1), status=status
    )
    assert int(psum[0, 0, 0]) == -(65504 << 47)
    with pytest.raises(ValueError, match=r"BP must have at most .* not 32769$"):
        psum_bp(
            np.ones((1, 1, terms + 1)), np.zeros((terms + 1, 1, 1, 1)), size=(1, 1), status=status
        )
    assert status == QUIET


def test_chains_that_leave_their_psum_are_refused():
    # One past the largest sum; and past 64 bits, where int64 itself wraps.
    for acc, w in (((1 << 57) - 1, 2.0**-24), (-(1 << 57) + 1, -(2.0**-24))):
        with pytest.raises(ValueError, match="within 58 bits"):
            fp([1], [w], acc=np.full((1, 1, 1), acc))
    for acc, w in (((1 << 63) - 1, 1.0), (-(1 << 63) + 1, -1.0)):
        with pytest.raises(ValueError, match="within 64 bits"):
            bp([1.0], [w], acc=np.full((1, 1, 1), acc))


def test_inputs_that_stay_are_given_once_to_wg():
    random = rng(7)
    du = random_values(random, (3, 2, 4, 4, 2), BINARY16, "ordinary")
    x = random.random((1, 2, 4, 4, 3)) < 0.5
    status = Status()
    once = psum_wg(x, du, kernel=(1, 1), status=status)
    assert np.array_equal(once, psum_wg(np.repeat(x, 3, 0), du, kernel=(1, 1), status=status))


def test_dw_acc_is_a_binary32_addition():
    status = Status()
    old, new = np.array([1.0, -0.0, 3e38]), np.array([2.0**-24, -0.0, -3e38])
    result = add_dw(old, new, status=status)
    assert result.dtype == np.float32
    assert same_bits(result, [1.0, -0.0, 0.0])
    assert status == QUIET
    add_dw([3e38], [3e38], status=status)
    assert status == OVERFLOW
    result = add_dw([np.inf, np.nan], [-np.inf, 1], status=status)
    assert result.view(np.uint32).tolist() == [BINARY32.nan] * 2
    assert status.invalid


@pytest.mark.parametrize(
    "change, message",
    [
        ({"w": np.zeros((1, 3, 3, 3))}, "weights must have 2 input channels, not 3"),
        ({"padding": (0, 0, 0)}, r"padding must be four numbers .*, not \(0, 0, 0\)"),
        ({"padding": (0, 0, -1, 0)}, r"not \(0, 0, -1, 0\)"),
        ({"stride": 0}, r"must be at least 1, not 4x4, 3x3 and \(0, 0\)"),
        ({"w": np.zeros((1, 2, 5, 3))}, "a kernel of 5x3 must fit the padded map, not one of 4x4"),
        ({"acc": np.zeros((1, 1, 1), int)}, r"have the shape \(2, 2, 1\), not \(1, 1, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, message):
    arguments = {"x": np.ones((4, 4, 2)), "w": np.zeros((1, 2, 3, 3)), **change}
    with pytest.raises(ValueError, match=message):
        psum_fp(**arguments, status=Status())


def test_inputs_that_are_no_spikes_are_refused():
    with pytest.raises(ValueError, match="FP must be whole numbers from 0, not -1.0"):
        psum_fp(pixel(-1), np.zeros((1, 1, 1, 1)), status=Status())
    with pytest.raises(ValueError, match="WG must be 0 or 1, not 2.0 to 2.0"):
        psum_wg(pixel(2), pixel(1), kernel=(1, 1), status=Status())


def test_gradients_that_do_not_fit_are_refused():
    du = np.ones((3, 3, 1))
    with pytest.raises(ValueError, match=r"du must have maps of \(2, 2, 1\), not \(3, 3, 1\)"):
        psum_bp(du, np.zeros((1, 2, 3, 3)), size=(4, 4), status=Status())
    with pytest.raises(ValueError, match="du must have maps of 2x2, not 3x3"):
        psum_wg(np.ones((4, 4, 2)), du, kernel=(3, 3), status=Status())
