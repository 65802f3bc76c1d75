"""Without this, rounding wrong in a corner would be taken for what the hardware has to do."""

from fractions import Fraction

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, BINARY32, Float
from backspike.sim.model import Status, decode, encode, psum_nan, read_psum, round_values, to_psum
from tests.sim.model.reference import FORMATS, power, rng, round_fraction, same_bits

ALL_FORMATS = [*FORMATS, Float(6, 9)]


@pytest.mark.parametrize("format", ALL_FORMATS, ids=str)
def test_codes_and_values_are_inverse(format):
    codes = np.arange(1 << format.width)
    values = decode(codes, format)
    is_nan = np.isnan(values)
    assert is_nan.sum() == 2 * ((1 << format.mantissa) - 1)
    assert np.array_equal(encode(values, format), np.where(is_nan, format.nan, codes))


def test_codes_are_those_of_numpy():
    codes = np.arange(1 << 16, dtype=np.uint16)
    assert same_bits(decode(codes), codes.view(np.float16))
    codes = rng(1).integers(0, 1 << 32, 10000, dtype=np.uint32)
    with np.errstate(invalid="ignore"):
        assert same_bits(decode(codes, BINARY32), codes.view(np.float32))


@pytest.mark.parametrize("format", [*ALL_FORMATS, BINARY32], ids=str)
def test_rounding_is_to_nearest_even(format):
    random = rng(2)
    # Numbers of the format and midpoints between them, exactly and just off, and any others.
    codes = random.integers(0, format.infinity, 300)
    ties = (decode(codes, format) + decode(np.minimum(codes + 1, format.infinity - 1), format)) / 2
    spread = np.ldexp(random.normal(size=300), random.integers(format.lsb - 3, format.top + 2, 300))
    edge = 2.0**format.top - 2.0 ** (format.top - format.mantissa - 2)  # ties to infinity
    exact = np.concatenate([ties, np.nextafter(ties, 0), np.nextafter(ties, 1e9), spread, [edge]])
    exact = np.concatenate([exact, -exact, [np.nextafter(edge, 0)]])
    expected = [round_fraction(Fraction(x), format) for x in exact]
    # The sign of a zero comes from the exact number.
    assert same_bits(round_values(exact, format), np.copysign(expected, exact))
    special = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0])
    assert same_bits(round_values(special, format), special)


@pytest.mark.parametrize(
    "lsb, bits, target", [(-24, 58, BINARY16), (-32, 64, BINARY16), (-24, 58, BINARY32)], ids=str
)
@pytest.mark.parametrize("scale", [0, 4, 15])
def test_psums_are_rounded_once(lsb, bits, target, scale):
    random = rng(3)
    # Ties of every size, and one above and below them, so that gathering low bits is noticed.
    widths = random.integers(1, bits, 3000)
    top = [int(x) for x in random.integers(0, 1 << 13, 3000) | 1 << 12]
    psum = [t << int(w) >> 13 for t, w in zip(top, widths, strict=True)]
    psum = [sign * max(0, p + off) for p in psum for off in (-1, 0, 1) for sign in (-1, 1)]
    psum += [0, (1 << (bits - 1)) - 1, 1 - (1 << (bits - 1))]
    status = Status()
    result = read_psum(
        np.array(psum), lsb=lsb, bits=bits, scale=scale, format=target, status=status
    )
    expected = [round_fraction(p * power(lsb - scale), target) for p in psum]
    assert same_bits(result, expected)
    assert status == Status(overflow=bool(np.isinf(expected).any()), invalid=False)


def test_reading_the_reserved_integer_is_invalid():
    status = Status()
    values = read_psum(np.array([psum_nan(64), 0]), lsb=-32, bits=64, status=status)
    assert same_bits(values, [np.nan, 0.0])
    assert status == Status(overflow=False, invalid=True)
    status.clear()
    assert not status


def test_vector_results_go_onto_the_psum_grid():
    values = np.array([0.0, -0.0, 2.0**-24, -65504, np.inf, -np.inf, np.nan])
    psum = to_psum(values, lsb=-32, bits=64)
    nan = psum_nan(64)
    assert psum.tolist() == [0, 0, 1 << 8, -65504 << 32, nan, nan, nan]
    status = Status()
    back = read_psum(psum[:4], lsb=-32, bits=64, status=status)
    assert same_bits(back, [0.0, 0.0, 2.0**-24, -65504])
    assert not status


def test_what_is_no_number_of_the_format_is_refused():
    with pytest.raises(ValueError, match=r"numbers of the format e5m10, not 0\.1$"):
        encode(np.array([1.0, 0.1]))
    with pytest.raises(ValueError, match="from 0 to 255, not 0 to 256"):
        decode(np.array([0, 256]), Float(4, 3))
