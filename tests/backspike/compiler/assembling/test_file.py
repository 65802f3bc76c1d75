"""Without these, a program could be shown as another one, or a wrong file end in a traceback."""

from __future__ import annotations

import json
import re

import pytest

from backspike import cli
from backspike.compiler.assembling.file import load_programs, save_programs
from backspike.compiler.assembling.program import Program
from backspike.hw.isa.table import IsaShape
from backspike.hw.presets import load


@pytest.fixture
def program():
    program = Program(IsaShape.from_config(load("tiny")), "bp")
    program.phase("backward")
    program.add("NOC_CTRL", {"flow_type": 1}, reason="forget statuses")
    with program.loop(3, 64, reason="three parts") as (dram,):
        program.add("DMA_RD", {"sram": 4, "words": 8, "dram": dram + 4096}, reason="u of a part")
    program.barrier("wu", after=("read", "wg"), boxes=[0, 3], reason="all is there")
    program.end()
    return program


def test_file_keeps_everything(program, tmp_path):
    config = load("tiny", ["array.lanes=8", "name=mine"])
    save_programs(tmp_path / "p.json", config, {"bp": program})
    found, programs = load_programs(tmp_path / "p.json")
    assert found == config
    assert programs["bp"].words == program.words
    assert programs["bp"].reasons == program.reasons
    assert programs["bp"].phases == program.phases


def test_disassemble_prints_reasons(program, tmp_path, capsys):
    save_programs(tmp_path / "p.json", load("tiny"), {"bp": program})
    assert cli.main(["disassemble", str(tmp_path / "p.json")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"BP sub-core of tiny: {len(program.words)} words",
        "        -- backward",
        "000000  NOC_CTRL flow_type=1  ; forget statuses",
        "000014  LOOP count=3 length=9 register_0=1 step_0=64  ; three parts",
        "000058    DMA_RD sram=4 words=8 rows=1 dram=4096+r1  ; u of a part",
        "00007c  BARRIER units=wu after=wg+read boxes=0+3  ; all is there",
        "000094  BARRIER END  ; the program ends when all is done",
    ]


def test_disassemble_stops_at_what_is_no_instruction(program, tmp_path, capsys):
    program.words[5] = 0xFF
    save_programs(tmp_path / "p.json", load("tiny"), {"bp": program})
    assert cli.main(["disassemble", str(tmp_path / "p.json"), "--subcore", "bp"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "000014  not an instruction: 0xff is no opcode of this sub-core"


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"format": "backspike program 1"})])
def test_other_files_are_refused_in_one_sentence(text, tmp_path, capsys):
    path = tmp_path / "other.json"
    path.write_text(text)
    assert cli.main(["disassemble", str(path)]) == 2
    message = capsys.readouterr().err
    assert re.fullmatch(r"backspike disassemble: .* must be a file of programs, .*\n", message)


def test_missing_file_is_told(tmp_path, capsys):
    assert cli.main(["disassemble", str(tmp_path / "none.json")]) == 2
    assert "No such file" in capsys.readouterr().err
