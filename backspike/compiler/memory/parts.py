"""How layers are cut into parts that fit the SRAMs of a core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from backspike.compiler.lowering.layers import Lowered
from backspike.compiler.lowering.words import even_size
from backspike.hw.config import ChipConfig
from backspike.hw.isa.operands import COUNT_MAX

__all__ = [
    "PART_CYCLES",
    "Cut",
    "Ring",
    "Room",
    "WeightRoom",
    "choose",
    "cut_range",
    "even",
    "span",
    "splits",
]

PART_CYCLES = 100
"""About what one more part costs in cycles, whatever its size."""


def even(total: int, parts: int) -> tuple[range, ...]:
    """``total`` items in at most ``parts`` ranges, as even as they can be but for the last."""
    return cut_range(range(total), -(-total // parts))


def cut_range(items: range, most: int) -> tuple[range, ...]:
    """Items in as few ranges of at most ``most`` as there can be, as even but for the last."""
    size = even_size(len(items), most)
    return tuple(items[first : first + size] for first in range(0, len(items), size))


def span(what: str, items: range) -> str:
    """Numbers for people, e.g. ``samples 0-7``."""
    if len(items) == 1:
        return f"{what} {items.start}"
    return f"{what}s {items.start}-{items.stop - 1}"


def splits(total: int) -> Iterator[tuple[range, ...]]:
    """All different ways to split evenly, the coarsest first."""
    before = 0
    for parts in range(1, total + 1):
        found = even(total, parts)
        if len(found) != before:
            yield found
        before = len(found)


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a core has room for."""

    config: ChipConfig

    def words(self, sram: str, share: int = 1) -> int:
        """Words of the ``share``-th part of an SRAM."""
        return self.config.srams[sram].words // share

    def word_bytes(self, sram: str) -> int:
        """Bytes of a word."""
        return self.config.srams[sram].width // 8

    def spike_words(self, columns: int) -> int:
        """Words of a row of spikes."""
        return -(-columns // self.config.array.spike_pixels)

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat of the bus."""
        return self.config.dram.bus_bits // 8

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a weight tile as fp.w and bp.w hold it."""
        return self.config.array.lanes * self.config.format.width // 8

    def aligned(self, rows: int) -> bool:
        """Whether so many rows of weight tiles end where a beat of the bus does."""
        return rows * self.row_bytes % self.bus_bytes == 0


@dataclass(frozen=True, kw_only=True)
class WeightRoom:
    """How the weights of the layers lie in fp.w or bp.w."""

    sram: str
    resident: bool
    """All of them, all the time; else those of a part of a layer at a time."""
    share: int
    """Of which there is room in the ``share``-th part, so that others load meanwhile if it is 2."""

    @classmethod
    def of(
        cls, room: Room, sram: str, layers: Sequence[Lowered], least: Sequence[int]
    ) -> WeightRoom:
        """For ``layers``, of which ``least`` rows have to be there at a time.

        Raises
        ------
        ValueError
            If there is no room for those.
        """
        rows = room.words(sram) * room.config.array.weight_words
        for layer, each in zip(layers, least, strict=True):
            if each > rows:
                raise ValueError(
                    f"the weights of one channel tile of layer {layer.index} must take at most "
                    f"{rows} rows of {sram}, not {each}"
                )
        return cls(
            sram=sram,
            resident=sum(layer.weight_rows for layer in layers) <= rows,
            share=2 if all(2 * each <= rows for each in least) else 1,
        )

    def fits(self, room: Room, rows: int) -> bool:
        """Whether there is room for so many rows of a layer."""
        words = rows // room.config.array.weight_words
        return self.resident or words <= room.words(self.sram, self.share)


class Ring:
    """Equal parts of an SRAM that are used in turn; ``bases`` are their first words."""

    def __init__(self, first: int, words: int, count: int = 2):
        self.bases = [first + number * words for number in range(count)]
        self._taken = 0

    def take(self) -> int:
        """The first word of the next part."""
        self._taken += 1
        return self.bases[(self._taken - 1) % len(self.bases)]

    @property
    def last(self) -> int:
        """The first word of the part that was taken last."""
        return self.bases[(self._taken - 1) % len(self.bases)]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A layer in parts: tiles of its channels, strips of its pooled rows, and samples."""

    tiles: tuple[range, ...]
    strips: tuple[range, ...]
    samples: tuple[range, ...]

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self.tiles) * len(self.strips) * len(self.samples)

    def parts(self, weights: WeightRoom, among: range) -> Iterator[tuple[range, range, range]]:
        """Tiles, strip and samples of each part that is ``among`` these samples, in order.

        Samples come one after the other; or tiles, if their weights have to be loaded.
        """
        there = [samples for samples in self.samples if samples.start in among]
        if weights.resident:
            for samples, tiles, strip in product(there, self.tiles, self.strips):
                yield tiles, strip, samples
        else:
            for tiles, samples, strip in product(self.tiles, there, self.strips):
                yield tiles, strip, samples


Needs = Callable[[tuple[range, ...], int], Mapping[str, int] | None]


def choose(
    layer: Lowered,
    stage: str,
    rounds: Sequence[range],
    *,
    capacity: Mapping[str, int],
    needs: Needs,
    cost: Callable[[Cut], float],
    tiles_fit: Callable[[tuple[range, ...]], bool],
) -> Cut:
    """The cheapest way to cut a layer; the coarsest of equals.

    Parameters
    ----------
    stage : str
        For people, e.g. ``FP``.
    rounds : sequence of range
        Samples that one part may take at most.
    capacity : mapping
        Words of each SRAM that a part may take.
    needs : callable
        From strips, and the most tiles of a part, to the words that the largest part of one sample
        takes; None if the engines cannot do such a strip.
    cost : callable
        Cycles, about, beside those of the sums themselves.
    tiles_fit : callable
        Whether the weights allow for these tiles.

    Raises
    ------
    ValueError
        If there is none.
    """
    best: tuple[float, Cut] | None = None
    for tiles in filter(tiles_fit, splits(layer.conv.m_tiles)):
        for strips in splits(layer.pooled[0]):
            words = needs(strips, len(tiles[0]))
            if words is None:
                continue
            fit = min(capacity[name] // each for name, each in words.items())
            if not fit:
                continue
            samples = [each for there in rounds for each in cut_range(there, min(fit, COUNT_MAX))]
            cut = Cut(tiles=tiles, strips=strips, samples=tuple(samples))
            cycles = cost(cut)
            if best is None or cycles < best[0]:
                best = cycles, cut
    if best is None:
        raise _refusal(layer, stage, capacity, needs)
    return best[1]


def _refusal(layer: Lowered, stage: str, capacity: Mapping[str, int], needs: Needs) -> ValueError:
    """Why there is no way to cut a layer."""
    possible = (needs(strips, 1) for strips in splits(layer.pooled[0]))
    least = [each for each in possible if each is not None][-1]
    for name, each in least.items():
        if each > capacity[name]:
            return ValueError(
                f"{stage} of layer {layer.index} must take at most {capacity[name]} words of "
                f"{name} for the smallest part of a sample, not {each}"
            )
    return ValueError(
        f"the weights of layer {layer.index} must be cut where a beat of the bus begins, which "
        f"tiles of {layer.lanes} lanes are too small for"
    )
