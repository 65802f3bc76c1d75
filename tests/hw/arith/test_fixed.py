"""Without these, a convolution that is exactly summed could be read wrong."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.arith.fixed import RoundFixed, ToFixed
from backspike.hw.limits import PLANE_BITS
from tests.hw.arith.operands import integers
from tests.hw.arith.unit import BINARY16, BINARY32, EIGHT_BIT, check, reference


@pytest.mark.parametrize("verilated", [False, True])
@pytest.mark.parametrize("format", [BINARY16, *EIGHT_BIT])
def test_to_fixed(format, verilated):
    ref = reference(format)
    i = np.arange(1 << ref.width)
    numbers = ref.values(i).astype(np.float64)
    special = ~np.isfinite(numbers)
    multiples = np.ldexp(np.where(special, 0, numbers), -ref.smallest)
    wanted = {"o": multiples.astype(np.int64), "special": special.astype(np.int64)}
    check(ToFixed(format=format), {"i": i}, wanted, verilated=verilated)


def rounded(format, width, lsb, i, scale) -> dict[str, np.ndarray]:
    ref = reference(format)
    codes = ref.rounded(i, lsb - scale)
    codes = np.where(i == -(1 << (width - 1)), ref.nan, codes)
    return ref.result(np.where(i == 0, 0, codes), np.zeros(1))


PSUMS = [
    *((format.psum_bits, format.lsb, format, PLANE_BITS) for format in (BINARY16, *EIGHT_BIT)),
    *(
        (format.product_psum_bits, format.product_lsb, format, 0)
        for format in (BINARY16, *EIGHT_BIT)
    ),
    (BINARY16.psum_bits, BINARY16.lsb, BINARY32, PLANE_BITS),
    # As narrow as can be, so that most results are subnormal; and so that none is.
    (13, BINARY16.lsb, BINARY16, 0),
    (28, BINARY16.lsb, BINARY16, PLANE_BITS),
    (24, -28, EIGHT_BIT[1], 0),
    (16, 0, BINARY16, 0),
]


@pytest.mark.parametrize("verilated", [False, True])
@pytest.mark.parametrize(("width", "lsb", "format", "scale_bits"), PSUMS)
def test_round_fixed(width, lsb, format, scale_bits, verilated):
    operands = {"i": integers(width)}
    scale = np.random.default_rng(2).integers(0, 1 << scale_bits, len(operands["i"]))
    if scale_bits:
        operands["scale"] = scale
    wanted = rounded(format, width, lsb, operands["i"], scale)
    unit = RoundFixed(width=width, lsb=lsb, format=format, scale_bits=scale_bits)
    check(unit, operands, wanted, verilated=verilated)


@pytest.mark.parametrize("scale", [0, 1, 15])
def test_round_fixed_at_every_power_of_two(scale):
    """The edges of both signs, at one scale: where a shifter would be off by one."""
    exponent = np.arange(57)
    i = np.concatenate([(1 << exponent) + d for d in (-1, 0, 1)])
    i = np.concatenate([i, -i, [-(1 << 57), (1 << 57) - 1]])
    operands = {"i": i, "scale": np.full(len(i), scale)}
    unit = RoundFixed(width=58, lsb=-24, format=BINARY16, scale_bits=PLANE_BITS)
    wanted = rounded(BINARY16, 58, -24, i, operands["scale"])
    check(unit, operands, wanted, verilated=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"width": 58, "lsb": -24, "scale_bits": -1},
            "RoundFixed.scale_bits must be at least 0, not -1",
        ),
        (
            {"width": 12, "lsb": -24},
            "RoundFixed.width must be at least 13 bits for these parameters, not 12",
        ),
        (
            {"width": 20, "lsb": -32, "scale_bits": 4},
            "RoundFixed.width must be at least 35 bits for these parameters, not 20",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as error:
        RoundFixed(format=BINARY16, **arguments)
    assert str(error.value) == message
