"""Without these, two models of a memory could agree on numbers and differ in their bits."""

from __future__ import annotations

import numpy as np
import pytest

from backspike.hw.presets import PRESETS
from backspike.sim.model.machine import Memories
from backspike.sim.model.machine.memories import low_bits
from tests.sim.model.machine.maps import CONFIGS, garbage

SEED = 4101


def test_zero_at_first_and_as_large_as_configured():
    config = PRESETS["paper"]
    memories = Memories(config)
    assert set(memories.raw) == set(config.srams)
    for name, size in config.srams.items():
        assert memories.raw[name].size == size.words * size.width // 8
    assert not any(words.any() for words in memories.raw.values())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_numbers_are_the_bytes_least_significant_first(config):
    memories, lanes = Memories(config), config.array.lanes
    memories.words("fp.conv_fp")[3, 1] = -2
    assert bytes(memories.raw["fp.conv_fp"][3, 8:16]) == b"\xfe" + 7 * b"\xff"
    memories.words("bp.dw")[5, lanes - 1] = 0x12345678
    assert bytes(memories.raw["bp.dw"][5, -4:]) == b"\x78\x56\x34\x12"
    row = config.array.weight_words - 1
    memories.words("bp.w")[2, row * lanes] = 0x41
    size = config.format.width // 8
    assert memories.raw["bp.w"][2, row * lanes * size] == 0x41
    assert memories.words("fp.u").shape == (config.srams["fp.u"].words, lanes)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_spike_is_one_bit(config):
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    memories, lanes = garbage(random, config), config.array.lanes
    expected = memories.copy()
    word, pixel, lane = np.array([9, 4]), np.array([config.array.spike_pixels - 1, 1]), lanes - 1
    spikes = random.random((2, lanes)) < 0.5
    memories.write_bits("fp.spike", word, pixel, spikes)
    for w, p, bits in zip(word.tolist(), pixel.tolist(), spikes.tolist(), strict=True):
        number = int.from_bytes(expected.raw["fp.spike"][w].tobytes(), "little")
        for i, bit in enumerate(bits, p * lanes):
            number = number & ~(1 << i) | bit << i
        size = expected.raw["fp.spike"].shape[1]
        expected.raw["fp.spike"][w] = list(number.to_bytes(size, "little"))
    assert memories.differences(expected) == []
    assert (memories.read_bits("fp.spike", word, pixel) == spikes).all()
    assert memories.bits("fp.spike")[9, pixel[0], lane] == spikes[0, lane]


def test_differences_tell_where_and_what():
    memories = Memories(CONFIGS[0])
    other = memories.copy()
    other.words("bp.du")[7, 1] = 0xBEEF
    other.write_bits("fp.s_out", np.array([2]), np.array([1]), np.ones((1, 4), bool))
    assert [str(difference) for difference in memories.differences(other)] == [
        "fp.s_out[2] 00000000 is not 000000f0",
        "bp.du[7] 0000000000000000 is not 00000000beef0000",
    ]


def test_copies_are_apart():
    memories = Memories(CONFIGS[0])
    memories.copy().words("fp.u")[0] = 1
    assert not memories.raw["fp.u"].any()


def test_words_beyond_an_sram_are_none():
    memories = Memories(CONFIGS[0])
    beyond = np.array([len(memories.raw["fp.spike"])])
    with pytest.raises(IndexError):
        memories.read_bits("fp.spike", beyond, beyond * 0)
    with pytest.raises(IndexError):
        memories.write_bits("fp.spike", beyond, beyond * 0, np.zeros((1, 4), bool))


@pytest.mark.parametrize("bits", [30, 58, 64])
def test_psums_are_the_low_bits_of_their_lane(bits):
    random = np.random.default_rng(SEED)
    lanes = random.integers(-1 << 63, 1 << 63, 100, endpoint=False)
    half = 1 << (bits - 1)
    expected = [(int(lane) + half) % (2 * half) - half for lane in lanes]
    assert low_bits(lanes, bits).tolist() == expected
