"""A row of the BP array: without these a product could be truncated or overflow the wrong way."""

from fractions import Fraction

import numpy as np
import pytest

from backspike.hw.arith.format import BINARY16, Float
from backspike.hw.bp.row import BpRow
from backspike.sim.model import decode
from tests.hw.simulation import simulate

FORMATS = [BINARY16, Float(5, 2), Float(4, 3), Float(3, 4), Float(3, 12), Float(2, 13)]


def operand(code, format):
    """Fields of an Operand, taken apart here once more."""
    mantissa = code & ((1 << format.mantissa) - 1)
    exponent = code >> format.mantissa & ((1 << format.exponent) - 1)
    significand = mantissa + ((exponent > 0) << format.mantissa)
    blocks, rest = divmod(max(exponent, 1), 1 << min(2, format.exponent - 1))
    return {
        "significand": significand << rest,
        "exponent": blocks,
        "sign": code >> (format.width - 1),
        "special": exponent == (1 << format.exponent) - 1,
    }


def corner_codes(format):
    """Zeros, subnormals, powers of two, the largest values and their neighbours."""
    top = format.infinity
    codes = {0, 1, 2, 3, (1 << format.mantissa) - 1, 1 << format.mantissa, top - 1, top - 2}
    codes |= {e << format.mantissa for e in range(1, (1 << format.exponent) - 1)}
    codes |= {(e << format.mantissa) - 1 for e in range(1, (1 << format.exponent))}
    codes |= {top, format.nan}
    return [code | sign << (format.width - 1) for code in sorted(codes) for sign in (0, 1)]


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_products_of_corner_values(format):
    """One lane multiplies, the other is silent; each product is seen alone."""
    random = np.random.default_rng(3)
    corners = corner_codes(format)
    chosen = random.choice(corners, 15, replace=False)
    row = BpRow(format=format, lanes=2)
    latency = BpRow.latency_of(2)
    pairs = [
        (int(w), int(du)) for w in chosen for du in corners if decode(np.array(du), format) != 0
    ]
    reserved = -1 << (format.product_psum_bits - 1)

    def expected(w, du):
        a, b = (float(decode(np.array(code), format)) for code in (w, du))
        if not (np.isfinite(a) and np.isfinite(b)):
            return reserved, True, False
        product = Fraction(a) * Fraction(b)
        if abs(product) >= 2**format.top:
            return reserved, False, True
        scaled = abs(product) / Fraction(2) ** format.product_lsb
        magnitude = scaled.numerator // scaled.denominator
        return (-magnitude if product < 0 else magnitude), False, False

    async def testbench(ctx):
        ctx.set(row.first, 1)
        for cycle in range(len(pairs) + latency):
            ctx.set(row.take, int(cycle < len(pairs)))
            if cycle < len(pairs):
                w, du = pairs[cycle]
                ctx.set(row.weights[0], operand(w, format))
                ctx.set(row.du[0], operand(du, format))
            ctx.set(row.accumulate, int(0 <= cycle - (latency - 1) < len(pairs)))
            if 0 <= cycle - (latency - 1) < len(pairs):
                _, special, overflow = expected(*pairs[cycle - (latency - 1)])
                got = ctx.get(row.special), ctx.get(row.overflow)
                assert got == (special, overflow), pairs[cycle - (latency - 1)]
            if cycle >= latency:
                pair = pairs[cycle - latency]
                assert ctx.get(row.psum) == expected(*pair)[0], pair
            await ctx.tick()

    simulate(row, testbench)
