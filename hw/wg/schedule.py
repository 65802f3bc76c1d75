"""How many samples one WG instruction can sum up: part of what a network's numbers depend on."""

from __future__ import annotations

from hw.arith.format import FP_TERMS_BITS
from hw.config import ChipConfig

__all__ = ["WG_SHARE", "samples_that_fit"]

WG_SHARE = 4
"""Of bp.du_next and bp.s, WG takes its operands from a half, and loads the next ones meanwhile."""


def samples_that_fit(
    config: ChipConfig,
    *,
    spike_map: tuple[int, int],
    du_map: tuple[int, int],
    steps: int,
    spike_steps: int | None = None,
) -> int:
    """Samples of which du of one output tile and spikes of one input tile fit WG's share of SRAMs.

    Parameters
    ----------
    spike_map, du_map : (rows, columns)
        Maps of the layer's input and output.
    steps : int
        Time steps T.
    spike_steps : int, optional
        1 for a direct input, which is the same at every step.

    Raises
    ------
    ValueError
        If not even one sample fits.
    """
    du_words = steps * du_map[0] * du_map[1]
    row_words = -(-spike_map[1] // config.array.spike_pixels)
    spike_words = (spike_steps or steps) * spike_map[0] * row_words
    du_room, spike_room = (config.srams[name].words // WG_SHARE for name in ("bp.du_next", "bp.s"))
    samples = min(
        du_room // du_words,
        spike_room // spike_words,
        (1 << FP_TERMS_BITS) // du_words,
    )
    if samples < 1:
        raise ValueError(
            f"a sample's du and spikes of a tile must fit a quarter of bp.du_next and bp.s, "
            f"{du_room} and {spike_room} words, not take {du_words} and {spike_words}"
        )
    return samples
