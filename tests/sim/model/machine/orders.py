"""Orders in which the units of a core model get their turns: they bring races to light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backspike.hw.isa.table import UNITS

__all__ = ["any_slow", "slow"]


def slow(random: np.random.Generator, subcore: str, unit: str | None) -> Callable[[list], None]:
    """One unit, or the decoder, gets its turn when hardly any other can go on any more."""

    def order(work: list) -> None:
        random.shuffle(work)
        late = [each for each in work if (each[1].name, each[2]) == (subcore, unit)]
        others = [each for each in work if (each[1].name, each[2]) != (subcore, unit)]
        work[:] = others * 12 + late

    return order


def any_slow(random: np.random.Generator) -> Callable[[list], None]:
    """As :func:`slow`, for one of all units and decoders."""
    among = [(subcore, unit) for subcore, units in UNITS.items() for unit in (None, *units)]
    return slow(random, *among[random.integers(len(among))])
