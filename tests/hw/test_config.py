"""Without these, an impossible chip could be built, or a setting be misspelt, without a word."""

from __future__ import annotations

import dataclasses

import pytest

from backspike.hw.arith.format import BINARY16, BINARY32, Float
from backspike.hw.config import (
    ArrayConfig,
    BpSrams,
    ChipConfig,
    Clocks,
    ConfigError,
    DramConfig,
    FpSrams,
    MeshConfig,
    SramSize,
    settings,
)
from backspike.hw.presets import PRESETS, load


def sram_bytes(config: ChipConfig) -> int:
    """Bytes of all SRAMs of a core."""
    return sum(size.words * size.width // 8 for size in config.srams.values())


class TestPresets:
    def test_paper(self):
        paper = PRESETS["paper"]
        assert (paper.mesh.columns, paper.mesh.rows, paper.mesh.cores) == (8, 4, 32)
        assert (paper.clocks.core_mhz, paper.clocks.noc_mhz) == (500, 667)
        assert (paper.array.lanes, paper.format) == (16, BINARY16)
        assert sram_bytes(paper) == 2073 * 1024
        assert paper == ChipConfig()

    def test_vcu128(self):
        board = PRESETS["vcu128"]
        assert board.mesh.cores == 4
        assert board.clocks.ratio == pytest.approx(200 / 150)
        assert (board.array, board.fp) == (ArrayConfig(), FpSrams())
        assert board.bp == BpSrams(dw=18 * 1024)

    def test_tiny(self):
        tiny = PRESETS["tiny"]
        assert tiny.array.lanes == 4
        assert sram_bytes(tiny) < sram_bytes(PRESETS["paper"]) / 10

    def test_names(self):
        assert list(PRESETS) == [config.name for config in PRESETS.values()]

    def test_is_a_value(self):
        assert hash(load("tiny")) == hash(PRESETS["tiny"])
        with pytest.raises(dataclasses.FrozenInstanceError):
            PRESETS["tiny"].name = "other"  # type: ignore[misc]


class TestSettings:
    def test_all_are_found_by_dotted_name(self):
        names = settings()
        assert {"name", "format.mantissa", "array.lanes", "fp.w", "bp.w", "mesh.rows"} <= set(names)

    @pytest.mark.parametrize("name", [n for n in settings() if not n.startswith(("name", "form"))])
    def test_each_says_what_it_is(self, name):
        field = settings()[name]
        assert field.metadata["unit"]
        assert len(field.metadata["why"]) > 10
        assert field.default in field.metadata["allowed"]


class TestSrams:
    def test_words_of_paper(self):
        srams = PRESETS["paper"].srams
        assert srams["fp.s_in"] == SramSize(words=1024, width=256, granules=16, banks=1)
        assert srams["fp.w"] == SramSize(words=18432, width=256, granules=16, banks=1)
        assert srams["fp.conv_fp"] == SramSize(words=1024, width=1024, granules=16, banks=1)
        assert srams["bp.s"] == SramSize(words=256, width=256, granules=16, banks=1)
        # A 3x3 kernel of one pair of channel tiles: 9 tiles of 16 words.
        assert srams["bp.dw"] == SramSize(words=144, width=512, granules=16, banks=1)

    def test_widths_follow_format_and_lanes(self):
        srams = load("tiny", ["format.exponent=4", "format.mantissa=3"]).srams
        assert srams["fp.w"].width == 4 * 8
        assert srams["bp.dw"].width == 4 * 32
        assert srams["fp.conv_fp"].width == 4 * 64
        assert srams["fp.s_in"] == SramSize(words=2048, width=16, granules=4, banks=1)

    def test_words_of_banks(self):
        size = load("paper", ["fp.conv_banks=2"]).srams["fp.conv_fp"]
        assert size == SramSize(words=1024, width=1024, granules=16, banks=2)
        assert size.bank_words == 512

    def test_width_of_weight_words(self):
        assert load("tiny", ["array.weight_words=4"]).srams["bp.w"] == SramSize(
            words=1024, width=256, granules=16, banks=1
        )

    def test_every_sram_is_counted(self):
        sizes = [
            getattr(section, field.name)
            for section in (FpSrams(), BpSrams())
            for field in dataclasses.fields(section)
            if field.name != "conv_banks"
        ]
        assert len(PRESETS["paper"].srams) == len(sizes)
        assert sram_bytes(PRESETS["paper"]) == sum(sizes)


class TestRefused:
    @pytest.mark.parametrize(
        ("section", "changes", "message"),
        [
            (ArrayConfig, {"lanes": 3}, "array.lanes must be a power of two from 2 to 64, not 3"),
            (ArrayConfig, {"lanes": 1}, "array.lanes must be a power of two from 2 to 64, not 1"),
            (
                ArrayConfig,
                {"lanes": "8"},
                "array.lanes must be a power of two from 2 to 64, not '8'",
            ),
            (
                ArrayConfig,
                {"ring_depth": 8},
                "array.ring_depth must be a power of two from 16 to 256, not 8",
            ),
            (
                ArrayConfig,
                {"spike_pixels": 32},
                "array.spike_pixels must be a power of two from 4 to 16, not 32",
            ),
            (
                ArrayConfig,
                {"group_rows": 32},
                "array.group_rows must be a whole number from 1 to 31, not 32",
            ),
            (
                ArrayConfig,
                {"ring_depth": 16},
                "array.group_tiles must be at most array.ring_depth = 16, not 18",
            ),
            (
                ArrayConfig,
                {"lanes": 2, "weight_words": 4},
                "array.weight_words must be at most array.lanes = 2, not 4",
            ),
            (
                ArrayConfig,
                {"dw_lanes": 32},
                "array.dw_lanes must be at most array.lanes = 16, not 32",
            ),
            (MeshConfig, {"rows": 0}, "mesh.rows must be a whole number from 1 to 16, not 0"),
            (
                Clocks,
                {"core_mhz": 0.5},
                "clocks.core_mhz must be a whole number from 1 to 5000, not 0.5",
            ),
            (FpSrams, {"w": -1}, "fp.w must be a whole number from 1 to 1073741824, not -1"),
            (
                BpSrams,
                {"conv_banks": True},
                "bp.conv_banks must be a power of two from 1 to 16, not True",
            ),
        ],
    )
    def test_by_a_section(self, section, changes, message):
        with pytest.raises(ConfigError) as error:
            section(**changes)
        assert str(error.value) == message

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"fp": FpSrams(u=100)},
                "fp.u must be a multiple of 32 bytes (1 x 256 bits) from 64 to 2097152, not 100",
            ),
            (
                {"fp": FpSrams(conv_fp=128)},
                "fp.conv_fp must be a multiple of 128 bytes (1 x 1024 bits) from 256 to 8388608, "
                "not 128",
            ),
            # An SRAM that holds weights holds a tile of them, and one that is addressed has 2**16.
            (
                {"bp": BpSrams(dw=64)},
                "bp.dw must be a multiple of 64 bytes (1 x 512 bits) from 1024 to 4194304, not 64",
            ),
            (
                {"bp": BpSrams(u=1 << 22)},
                "bp.u must be a multiple of 32 bytes (1 x 256 bits) from 64 to 2097152, "
                "not 4194304",
            ),
            (
                {"bp": BpSrams(du_next=32 * 8)},
                "bp.du_next must be a multiple of 512 bytes (16 x 256 bits) from 1024 to 2097152, "
                "not 256",
            ),
            (
                {"array": ArrayConfig(spike_pixels=4), "bp": BpSrams(du_next=32 * 12)},
                "bp.du_next must be a multiple of 256 bytes (8 x 256 bits) from 512 to 2097152, "
                "not 384",
            ),
            (
                {"dram": DramConfig(bus_bits=1024, burst_beats=64)},
                "dram.burst_beats must be at most 32 for a bus of 1024 bits, not 64",
            ),
            (
                {"format": BINARY32},
                "format is impossible: Float(8, 23) needs psums of 301 bits, but an array sums at "
                "most 64 bits",
            ),
            (
                {"format": Float(4, 10)},
                "format must take 8 or 16 bits, 1 + exponent + mantissa, not 15 bits",
            ),
            (
                {"name": "../paper"},
                "name must be letters, digits and any of _ . + -, not beginning with one of the "
                "last three, not '../paper'",
            ),
        ],
    )
    def test_by_the_chip(self, changes, message):
        with pytest.raises(ConfigError) as error:
            ChipConfig(**changes)
        assert str(error.value) == message


class TestLoad:
    def test_preset(self):
        assert load("vcu128") is PRESETS["vcu128"] or load("vcu128") == PRESETS["vcu128"]

    def test_overrides(self):
        config = load("tiny", ["array.lanes=8", "fp.w = 65536", "format.mantissa=2"])
        assert config.array == dataclasses.replace(PRESETS["tiny"].array, lanes=8)
        assert config.fp.w == 65536
        assert config.format == Float(5, 2)
        assert config.bp == PRESETS["tiny"].bp

    def test_overrides_do_not_share_a_folder(self):
        assert load("tiny", ["array.lanes=8"]).name == "tiny-array.lanes-8"
        assert load("tiny", ["array.lanes=8", "name=mine"]).name == "mine"

    def test_overrides_leave_presets_alone(self):
        load("tiny", ["array.lanes=8"])
        assert PRESETS["tiny"].array.lanes == 4

    def test_file(self, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text('base = "tiny"\n[array]\nlanes = 8\n[format]\nexponent = 5\nmantissa = 2\n')
        config = load(file)
        assert config.name == "mine"
        assert config.array == dataclasses.replace(PRESETS["tiny"].array, lanes=8)
        assert config.format == Float(5, 2)
        assert config.fp == PRESETS["tiny"].fp
        assert load(file, ["array.lanes=2"]).array.lanes == 2

    def test_file_without_base_starts_from_paper(self, tmp_path):
        file = tmp_path / "mine.toml"
        file.write_text('name = "other"\n')
        assert load(str(file)) == dataclasses.replace(PRESETS["paper"], name="other")

    def test_what_is_written_can_be_read(self, tmp_path):
        def table(values):
            plain = [f"{key} = {value!r}" for key, value in values.items() if key != "name"]
            return "\n".join(plain)

        values = PRESETS["tiny"].to_dict()
        file = tmp_path / "tiny.toml"
        file.write_text(
            "".join(f"[{key}]\n{table(value)}\n" for key, value in values.items() if key != "name")
        )
        assert load(file) == PRESETS["tiny"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "[array]\nlane = 8",
                "array.lane = 8 is not a setting, [array] has lanes, ring_depth, group_tiles, "
                "group_rows, spike_pixels, weight_words, pipeline_lanes, dw_lanes, "
                "update_lanes",
            ),
            (
                "lanes = 8",
                "lanes = 8 is not a setting, a configuration has name, format, array, fp, bp, "
                "mesh, clocks, dram, noc",
            ),
            ("array = 8", "array must be a table of settings, not 8"),
            ('base = "small"', "base must be one of paper, vcu128, tiny, not 'small'"),
            ("base = [1]", "base must be one of paper, vcu128, tiny, not [1]"),
            (
                "[format]\nbits = 16",
                "format.bits = 16 is not a setting, [format] has exponent, mantissa",
            ),
            (
                "[format]\nexponent = 5.0",
                "format.exponent must be a whole number from 1 to 32, not 5.0",
            ),
            (
                "[format]\nexponent = 1",
                "format is impossible: Float.exponent must be at least 2 bits, not 1",
            ),
            (
                "name = 5",
                "name must be letters, digits and any of _ . + -, not beginning with one of the "
                "last three, not 5",
            ),
        ],
    )
    def test_bad_file(self, tmp_path, text, message):
        file = tmp_path / "bad.toml"
        file.write_text(text)
        with pytest.raises(ConfigError) as error:
            load(file)
        assert str(error.value) == message

    def test_unreadable_files(self, tmp_path):
        with pytest.raises(ConfigError, match=r"none.toml cannot be read: No such file"):
            load(tmp_path / "none.toml")
        file = tmp_path / "broken.toml"
        file.write_text("[array\n")
        with pytest.raises(ConfigError, match=r"broken.toml is not valid TOML: .*line 1"):
            load(file)
        file.write_bytes(b"name = '\xff'")
        with pytest.raises(ConfigError, match=r"broken.toml is not valid TOML: "):
            load(file)

    @pytest.mark.parametrize(
        ("source", "overrides", "message"),
        [
            (
                "papre",
                [],
                "a configuration must be a preset (paper, vcu128, tiny) or a file ending in "
                ".toml, not 'papre'",
            ),
            ("tiny", ["lanes"], "an override must look like array.lanes=8, not 'lanes'"),
            (
                "tiny",
                ["array.lanes=many"],
                "array.lanes must be a power of two from 2 to 64, not 'many'",
            ),
            (
                "tiny",
                ["array.lanes=8", "array.lanes.x=8"],
                "array.lanes.x = 8 is not a setting, since lanes holds no settings",
            ),
            (
                "tiny",
                ["cache.size=8"],
                "cache = {'size': 8} is not a setting, a configuration has name, format, array, "
                "fp, bp, mesh, clocks, dram, noc",
            ),
        ],
    )
    def test_bad_overrides(self, source, overrides, message):
        with pytest.raises(ConfigError) as error:
            load(source, overrides)
        assert str(error.value) == message
