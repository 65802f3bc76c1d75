"""Operands that arithmetic units are likely to get wrong, for any format."""

from __future__ import annotations

import numpy as np

from tests.hw.arith.reference import Reference

SEED = 20_241_202
RANDOM_PAIRS = 1_200_000


def generator() -> np.random.Generator:
    """Random numbers from a seed that a failing test shows."""
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


def corners(ref: Reference) -> np.ndarray:
    """At least 500 codes: zeros, edges of subnormals and binades, powers of two, the largest finite
    numbers, infinities, NaN with several payloads; all of a format that has fewer."""
    if ref.width <= 8:
        return np.arange(1 << ref.width)
    top, half, ones = (1 << ref.exponent) - 1, 1 << (ref.mantissa - 1), (1 << ref.mantissa) - 1
    fields = {0, 1, 2, 3, top - 3, top - 2, top - 1}
    # Distances at which alignment, products and subnormal results change their ways.
    for centre in (ref.bias, ref.bias // 2, ref.bias - ref.mantissa, ref.bias + ref.mantissa):
        fields |= set(range(centre - 3, centre + 4))
    fields = [field for field in fields if 0 <= field < top]
    mantissas = [0, 1, 2, half - 1, half, half + 1, ones - 1, ones]
    mantissas += [0x155 & ones, 0x2AA & ones] if len(fields) < 31 else []
    codes = [field << ref.mantissa | mantissa for field in fields for mantissa in mantissas]
    codes += [top << ref.mantissa | payload for payload in (0, 1, half - 1, half, half + 1, ones)]
    codes = np.array(codes)
    codes = np.concatenate([codes, codes | ref.minus])
    assert len(np.unique(codes)) == len(codes) >= 500
    return codes


def pairs(ref: Reference) -> dict[str, np.ndarray]:
    """All pairs of corners (of codes, of an 8-bit format), and random pairs."""
    edge = corners(ref)
    a, b = (grid.ravel() for grid in np.meshgrid(edge, edge))
    if ref.width <= 8:
        return {"a": a, "b": b}
    random = generator()
    kinds = [_uniform, _cancelling, _subnormal, _sums_in_the_middle, _products_in_the_middle]
    for kind in kinds:
        x, y = kind(ref, random, RANDOM_PAIRS // len(kinds))
        swap = random.integers(0, 2, len(x), dtype=bool)
        a = np.concatenate([a, np.where(swap, y, x)])
        b = np.concatenate([b, np.where(swap, x, y)])
    return {"a": a, "b": b}


def _code(ref: Reference, random, field, mantissa) -> np.ndarray:
    """Codes with a random sign; ``field`` is brought within the finite numbers."""
    field = np.clip(field, 0, (1 << ref.exponent) - 2)
    return field << ref.mantissa | mantissa | random.integers(0, 2, len(field)) * ref.minus


def _uniform(ref, random, count):
    return random.integers(0, 1 << ref.width, (2, count))


def _cancelling(ref, random, count):
    """y is -x but for a few units in the last place."""
    x = random.integers(0, ref.infinity, count)
    step = random.integers(0, 1 << random.integers(1, ref.mantissa + 3, count))
    y = np.clip(x + np.where(random.integers(0, 2, count), step, -step), 0, ref.infinity - 1)
    x_sign = random.integers(0, 2, count) * ref.minus
    return x | x_sign, y | (x_sign ^ ref.minus)


def _subnormal(ref, random, count):
    """Subnormal operands and sums; products near the smallest normal number."""
    mantissa = random.integers(0, 1 << ref.mantissa, (2, count))
    tiny = random.integers(0, 4, count)
    other = np.where(
        random.integers(0, 2, count),
        random.integers(0, 4, count),
        ref.bias - tiny + random.integers(-ref.mantissa - 3, 3, count),
    )
    return _code(ref, random, tiny, mantissa[0]), _code(ref, random, other, mantissa[1])


def _sums_in_the_middle(ref, random, count):
    """y is half a unit in the last place of x, or next to that."""
    field = random.integers(ref.mantissa + 2, (1 << ref.exponent) - 1, count)
    x = _code(ref, random, field, random.integers(0, 1 << ref.mantissa, count))
    halves = _code(ref, random, field - ref.mantissa - 1, 0)
    near = halves + random.integers(-1, 2, count)
    return x, near


def _products_in_the_middle(ref, random, count):
    """Significands of n and mantissa + 2 - n bits: their product ends half a unit below the last
    place, or a place higher."""
    bits = random.integers(1, ref.mantissa + 2, count)
    mantissas = []
    for used in (bits, ref.mantissa + 2 - bits):
        spare = ref.mantissa + 1 - used
        top = random.integers(0, 1 << ref.mantissa, count) >> spare << spare
        mantissas.append(top | np.where(spare <= ref.mantissa - 1, 1 << spare, 0))
    fields = random.integers(0, (1 << ref.exponent) - 1, (2, count))
    # Half of them with products that are neither tiny nor huge.
    fields[1] = np.where(random.integers(0, 2, count), ref.bias + ref.bias - fields[0], fields[1])
    return tuple(_code(ref, random, f, m) for f, m in zip(fields, mantissas, strict=True))


def integers(bits: int, count: int = 1_200_000) -> np.ndarray:
    """Two's complement integers of all sizes, among them many ties of any format, and corners."""
    random = generator()
    one = np.int64(1)
    powers = one << np.arange(bits - 1)
    edge = np.concatenate(
        [powers, powers - 1, powers + 1, powers + (powers >> 1), powers - (powers >> 11), [0]]
    )
    # A few significant bits, then 0, 1 or -1 at the very end: ties, and what lies next to them.
    size = random.integers(1, bits, count)
    kept = np.minimum(random.integers(1, 28, count), size)
    number = random.integers(0, np.iinfo(np.int64).max, count, endpoint=True) >> (63 - size)
    cut = np.where(random.integers(0, 4, count) == 0, 0, size - kept)
    number = (number >> cut << cut) + random.integers(-1, 2, count)
    everything = np.concatenate([edge, number])
    largest = (one << (bits - 2)) - 1 + (one << (bits - 2))
    everything = np.clip(everything, 0, largest)
    return np.concatenate([everything, -everything, [-largest, -largest - 1]])
