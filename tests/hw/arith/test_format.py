"""Without these, a format whose sums overflow an array would be built without a word."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, BINARY32, Float
from tests.hw.arith.reference import Reference
from tests.hw.arith.unit import EIGHT_BIT, reference


@pytest.mark.parametrize(
    ("exponent", "mantissa", "message"),
    [
        (1, 10, "Float.exponent must be at least 2 bits, not 1"),
        (5, 0, "Float.mantissa must be at least 1 bit, not 0"),
    ],
)
def test_bad_fields(exponent, mantissa, message):
    with pytest.raises(ValueError) as error:
        Float(exponent, mantissa)
    assert str(error.value) == message


def test_properties_of_the_contract():
    assert (BINARY16.lsb, BINARY16.top, BINARY16.fixed_bits, BINARY16.psum_bits) == (
        -24,
        16,
        41,
        58,
    )
    assert (BINARY16.product_lsb, BINARY16.product_bits, BINARY16.product_psum_bits) == (
        -32,
        49,
        64,
    )


@pytest.mark.parametrize(
    ("format", "sums", "products"),
    [
        (Float(5, 2), (-16, 16, 33, 50), (-24, 41, 56)),
        (Float(4, 3), (-9, 8, 18, 35), (-17, 26, 41)),
    ],
)
def test_grids_of_eight_bits(format, sums, products):
    assert (format.lsb, format.top, format.fixed_bits, format.psum_bits) == sums
    assert (format.product_lsb, format.product_bits, format.product_psum_bits) == products
    assert (BINARY16.nan, BINARY16.infinity) == (0x7E00, 0x7C00)
    assert (BINARY32.nan, BINARY32.infinity) == (0x7FC00000, 0x7F800000)


@pytest.mark.parametrize("format", [BINARY16, *EIGHT_BIT])
def test_every_number_is_on_the_grid(format):
    numbers = reference(format).magnitudes
    integers = np.ldexp(numbers, -format.lsb)
    assert np.all(integers == np.rint(integers))
    assert integers[1] == 1
    assert integers[-1] < 2 ** (format.fixed_bits - 1)
    assert numbers[-1] < 2**format.top <= 2 * numbers[-1]


@pytest.mark.parametrize("format", [BINARY16, *EIGHT_BIT])
def test_sums_fit(format):
    format.check_sums_fit()


@pytest.mark.parametrize(
    ("format", "bits"), [(BINARY32, 301), (Float(8, 7), 285), (Float(5, 11), 65)]
)
def test_sums_that_do_not_fit_are_refused(format, bits):
    with pytest.raises(ValueError) as error:
        format.check_sums_fit()
    assert str(error.value) == (
        f"Float({format.exponent}, {format.mantissa}) needs psums of {bits} bits, "
        "but an array sums at most 64 bits"
    )


def test_sums_too_narrow_to_be_rounded_are_refused():
    with pytest.raises(ValueError) as error:
        Float(2, 5).check_sums_fit()
    assert str(error.value) == (
        "Float(2, 5) has psums of 25 bits, but rounding to binary32 takes at least 26"
    )


def test_the_reference_rounds_as_numpy_does():
    """The search that stands for formats numpy has not, on one that it has."""
    random = np.random.default_rng(1)
    numbers = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    middles = (numbers[1:] + numbers[:-1]) / 2
    inside = numbers[random.integers(0, len(numbers), 100_000)] * random.uniform(1, 1.001, 100_000)
    numbers = np.concatenate([numbers, middles, inside, [65519.99, 65520, 65520.01, 1e9]])
    assert np.array_equal(Reference(5, 10)._search(numbers), Reference(5, 10).codes(numbers))
