"""Where a map lies in an SRAM: what the commands of all engines are built from."""

from __future__ import annotations

from dataclasses import dataclass

from backspike.hw.limits import ADDRESS_BITS, check_whole

__all__ = ["Layout", "Strides", "check_words"]

LAST_WORD = (1 << ADDRESS_BITS) - 1


def check_words(name: str, base: int, words: int) -> None:
    """Raises ValueError, in one sentence, if ``words`` words from ``base`` on leave the memory."""
    check_whole(f"base of {name}", base, 0, LAST_WORD)
    if base + words - 1 > LAST_WORD:
        raise ValueError(f"{name} must end at word {LAST_WORD} or before, not {base + words - 1}")


@dataclass(frozen=True, kw_only=True)
class Strides:
    """A layout in full: the first word of a map, and words from one item to the next."""

    base: int
    row: int
    tile: int
    step: int
    sample: int

    def operands(self, name: str, *fields: str) -> dict[str, int]:
        """The operands of an instruction that tell them: ``name``_base and so on, or ``fields``."""
        chosen = fields or ("base", "tile", "sample", "step", "row")
        return {f"{name}_{field}": getattr(self, field) for field in chosen}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Its first word, and words from one row, tile, time step and sample to the next.

    Strides that are None are those of maps without gaps: samples of steps of tiles of rows.
    """

    base: int = 0
    row: int | None = None
    tile: int | None = None
    step: int | None = None
    sample: int | None = None

    def of(
        self,
        name: str,
        *,
        row_words: int,
        rows: int,
        tiles: int,
        steps: int = 1,
        samples: int = 1,
        written: bool = False,
    ) -> Strides:
        """The layout of maps of this size in full; ``written`` to by the command.

        Raises
        ------
        ValueError
            In one sentence that names it, if they leave the memory, or a word that is written would
            stand for two pixels.
        """
        row = row_words if self.row is None else self.row
        tile = rows * row if self.tile is None else self.tile
        step = tiles * tile if self.step is None else self.step
        sample = steps * step if self.sample is None else self.sample
        strides = {"row": row, "tile": tile, "step": step, "sample": sample}
        for field, value in strides.items():
            check_whole(f"{field} of {name}", value, 0)
        extents = sorted(
            (stride, count)
            for stride, count in ((row, rows), (tile, tiles), (step, steps), (sample, samples))
            if count > 1
        )
        span = row_words
        for stride, count in extents:
            if written and stride < span:
                raise ValueError(
                    f"strides of {name} must keep its pixels apart, which row = {row}, "
                    f"tile = {tile}, step = {step}, sample = {sample} do not"
                )
            span += (count - 1) * stride
        check_words(name, self.base, span)
        return Strides(base=self.base, **strides)
