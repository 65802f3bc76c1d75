"""Where a map lies in an SRAM: what the commands of all engines are built from."""

from __future__ import annotations

from dataclasses import dataclass

from hw.memory.port import ADDRESS_BITS

__all__ = ["Place", "check_words"]

LAST_WORD = (1 << ADDRESS_BITS) - 1


def check_words(name: str, base: int, words: int) -> None:
    """Raises ValueError, in one sentence, if ``words`` words from ``base`` on leave the memory."""
    if base < 0:
        raise ValueError(f"base of {name} must be from 0 to {LAST_WORD}, not {base!r}")
    if base + words - 1 > LAST_WORD:
        raise ValueError(f"{name} must end at word {LAST_WORD} or before, not {base + words - 1}")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Its first word, and words from one row, tile, time step and sample to the next.

    Strides that are None are those of maps without gaps: samples of steps of tiles of rows.
    """

    base: int = 0
    row: int | None = None
    tile: int | None = None
    step: int | None = None
    sample: int | None = None

    def of(
        self, name: str, *, row_words: int, rows: int, tiles: int, steps: int = 1, samples: int = 1
    ) -> Place:
        """The place of maps of this size, with all strides.

        Raises
        ------
        ValueError
            In one sentence that begins with ``name``, if they leave the memory.
        """
        row = row_words if self.row is None else self.row
        tile = rows * row if self.tile is None else self.tile
        step = tiles * tile if self.step is None else self.step
        sample = steps * step if self.sample is None else self.sample
        strides = {"row": row, "tile": tile, "step": step, "sample": sample}
        for field, value in strides.items():
            if type(value) is not int or value < 0:
                raise ValueError(
                    f"{field} of {name} must be a whole number of at least 0, not {value!r}"
                )
        words = row_words + (rows - 1) * row + (tiles - 1) * tile
        check_words(name, self.base, words + (steps - 1) * step + (samples - 1) * sample)
        return Place(base=self.base, **strides)
