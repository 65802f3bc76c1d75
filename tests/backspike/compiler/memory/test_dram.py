"""Without these, blocks could be copied to wrong places, or by more instructions than needed."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.compiler.memory.dram import ALIGNMENT, Allocator, Axis, Maps, transfers


def moved(copies, word_bytes):
    """Pairs (SRAM word, DRAM byte) that DMA instructions copy."""
    found = []
    for copy in copies:
        for row in range(copy["rows"]):
            for word in range(copy["words"]):
                found.append(
                    (
                        copy["base"] + row * copy["sram_row"] + word,
                        copy["dram"] + row * copy["dram_row"] + word * word_bytes,
                    )
                )
    return found


@pytest.mark.parametrize("seed", range(30))
def test_blocks_of_any_number_of_dimensions(seed):
    rng = np.random.default_rng(seed)
    word_bytes, words = int(rng.choice([2, 8, 32])), int(rng.integers(1, 5))
    axes, sram, dram = [], words, words * word_bytes
    for _ in range(int(rng.integers(0, 4))):
        count = int(rng.integers(1, 5))
        sram += int(rng.choice([0, 0, 3]))
        dram += int(rng.choice([0, 0, 64]))
        axes.insert(0, Axis(count, sram, dram))
        sram, dram = sram * count, dram * count
    expected = {
        (
            5 + word + sum(i * axis.sram for i, axis in zip(index, axes, strict=True)),
            96
            + word * word_bytes
            + sum(i * axis.dram for i, axis in zip(index, axes, strict=True)),
        )
        for index in np.ndindex(*(axis.count for axis in axes))
        for word in range(words)
    }
    copies = list(transfers(base=5, dram=96, axes=axes, words=words, word_bytes=word_bytes))
    found = moved(copies, word_bytes)
    assert len(found) == len(expected)
    assert set(found) == expected
    counts = sorted(axis.count for axis in axes)
    assert len(copies) <= np.prod(counts[:-1], dtype=int)


@pytest.mark.parametrize(
    "axes, rows, words",
    [
        ([], 1, 4),
        ([Axis(3, 4, 32)], 1, 12),
        ([Axis(2, 12, 96), Axis(3, 4, 32)], 1, 24),
        ([Axis(3, 4, 64)], 3, 4),
        ([Axis(2, 12, 192), Axis(3, 4, 64)], 6, 4),
        ([Axis(5, 12, 200), Axis(3, 4, 32)], 5, 12),
        ([Axis(1, 9, 9), Axis(3, 4, 64), Axis(1, 7, 7)], 3, 4),
    ],
)
def test_one_instruction_where_one_is_enough(axes, rows, words):
    (copy,) = transfers(base=0, dram=0, axes=axes, words=4, word_bytes=8)
    assert (copy["rows"], copy["words"]) == (rows, words)


def test_what_one_instruction_cannot_hold_is_split():
    copies = list(transfers(base=0, dram=0, axes=[Axis(5000, 2, 64)], words=1, word_bytes=8))
    assert [copy["rows"] for copy in copies] == [4095, 905]
    assert copies[1]["base"] == 2 * 4095
    assert copies[1]["dram"] == 64 * 4095


MAPS = {"steps": 2, "samples": 3, "tiles": 2, "rows": 5, "row_words": 3, "word_bytes": 2}


@pytest.mark.parametrize("padded", [False, True])
def test_parts_of_maps(padded):
    maps = Maps(address=512, bus_bytes=32, padded=padded, **MAPS)
    assert maps.row_bytes == (32 if padded else 6)
    assert maps.tile_bytes == (160 if padded else 32)
    rng = np.random.default_rng(0)
    dram = np.zeros(512 + maps.size, np.uint8)
    words = rng.integers(0, 256, (2, 3, 2, 5, 3, 2), dtype=np.uint8)
    maps.words(dram)[:] = words
    parts = {"steps": range(1, 2), "samples": range(1, 3), "tiles": range(1, 2)}
    rows = range(2, 4) if padded else range(5)
    copies = list(maps.copies(7, **parts, rows=rows))
    assert all(copy["dram"] % 32 == 0 for copy in copies)
    sram = np.zeros((100, 2), np.uint8)
    for word, byte in moved(copies, 2):
        sram[word] = dram[byte : byte + 2]
    part = words[1:2, 1:3, 1:2, rows.start : rows.stop].reshape(-1, 2)
    np.testing.assert_array_equal(sram[7 : 7 + len(part)], part)
    assert not sram[:7].any()
    assert not sram[7 + len(part) :].any()


def test_regions():
    allocator = Allocator()
    first, second = allocator.take("a", 3), allocator.take("b", ALIGNMENT)
    assert (first.address, second.address, allocator.size) == (0, ALIGNMENT, 2 * ALIGNMENT)
    with pytest.raises(ValueError) as error:
        allocator.take("maps", 1 << 32)
    assert str(error.value) == ("DRAM must hold at most 4294967296 bytes, maps ends at 4294967808")
