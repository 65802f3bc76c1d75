"""The bench: without these a missed target, a lost figure or a wrong count would look like success.

Figures themselves are measured by ``make bench``; here are the ways of getting at them.
"""

from __future__ import annotations

import json

import pytest

from backspike.hw.emit import EmittedModule, ModulePort
from scripts.bench import __main__ as bench
from scripts.bench.__main__ import main
from scripts.bench.figure import Figure, NotMeasured
from scripts.bench.figures import FIGURES
from scripts.bench.synthesis import CellCounts, ToolError, area_of_cells, registered
from scripts.bench.training import measure_training_step


def figure(
    name: str, value: float | Exception, relation: str | None = ">=", target: float | None = 2
):
    def measure() -> float:
        if isinstance(value, Exception):
            raise value
        return value

    return Figure(
        name=name,
        what="a thing",
        unit="m",
        measure=measure,
        at_least=target if relation == ">=" else None,
        at_most=target if relation == "<=" else None,
    )


@pytest.fixture
def figures(monkeypatch):
    made = [
        figure("good", 2.5),
        figure("bad", 1.5),
        figure("low", 1.5, "<="),
        figure("reported", 7, None, None),
        figure("absent", NotMeasured("there is no measuring tape")),
        figure("broken", ToolError("the hammer broke\nin two")),
    ]
    table = {each.name: each for each in made}
    monkeypatch.setattr(bench, "FIGURES", table)
    return table


def test_prints_each_beside_its_target_and_lists_the_misses(figures, tmp_path, capsys):
    out = tmp_path / "deep" / "bench.json"
    assert main(["--out", str(out)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == ["✓", "✗", "✓", " ", "-", "-", "6", "-", "✗", "✗"]
    assert "2.5 m" in lines[0] and ">= 2" in lines[0]
    assert "not measured" in lines[4] and "there is no measuring tape" in lines[4]
    assert "failed: the hammer broke" in lines[5]
    assert lines[-3:] == ["- 1 not measured: absent", "✗ 1 failed: broken", "✗ 1 missed: bad"]
    values = json.loads(out.read_text())
    assert values[0] == {
        "name": "good",
        "value": 2.5,
        "unit": "m",
        "relation": ">=",
        "target": 2,
        "command": "make bench ONLY=good",
    }
    assert [each["value"] for each in values] == [2.5, 1.5, 1.5, 7, None, None]


def test_one_figure_is_merged_into_the_file(figures, tmp_path, capsys):
    out = tmp_path / "bench.json"
    for names in (["low"], ["good", "reported"]):
        assert main(["--only", *names, "--out", str(out)]) == 0
    assert [each["name"] for each in json.loads(out.read_text())] == ["good", "low", "reported"]
    assert "✓ every target that was measured is met" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]"])
def test_a_broken_file_is_written_anew(figures, tmp_path, capsys, text):
    out = tmp_path / "bench.json"
    out.write_text(text)
    assert main(["--only", "good", "--out", str(out)]) == 0
    assert len(json.loads(out.read_text())) == 1
    assert "no list of figures" in capsys.readouterr().err


def test_an_unknown_figure_is_one_sentence(figures, tmp_path, capsys):
    assert main(["--only", "good", "colour", "--out", str(tmp_path / "bench.json")]) == 2
    assert capsys.readouterr().err == (
        "scripts.bench: the figure must be one of good, bad, low, reported, absent, "
        "broken, not 'colour'\n"
    )
    assert not list(tmp_path.iterdir())


def test_every_figure_of_the_table_is_there():
    assert len(FIGURES) == 67
    for each in FIGURES.values():
        assert (each.relation is None) == (each.target is None)
        assert each.relation in (None, ">=", "<=")
    assert FIGURES["fp_psum_reads"].target == pytest.approx(1 / 9)
    assert FIGURES["bits_differ"].holds(0) and not FIGURES["bits_differ"].holds(1)


def test_luts_are_counted_as_the_device_has_them():
    cells = {
        "LUT2": 3,
        "LUT6": 2,
        "RAM32M16": 2,
        "SRL16E": 1,
        "DSP48E2": 4,
        "FDRE": 9,
        "CARRY4": 5,
        "$scopeinfo": 7,
    }
    assert area_of_cells(cells) == CellCounts(luts=22, dsps=4, flip_flops=9)
    assert CellCounts(1, 2, 3) * 2 + CellCounts(1, 1, 1) == CellCounts(3, 5, 7)
    with pytest.raises(ToolError, match="RAM512X1S"):
        area_of_cells({"RAM512X1S": 1})


def test_paths_are_measured_between_registers():
    module = EmittedModule(
        name="unit",
        kind="Unit",
        parameters={},
        ports=(
            ModulePort(name="clk", direction="input", width=1, signed=False),
            ModulePort(name="i", direction="input", width=4, signed=True),
            ModulePort(name="o", direction="output", width=1, signed=False),
        ),
        latency=None,
        instances={},
        text="",
    )
    assert registered(module) == (
        "module registered(input clk, input [3:0] i, output reg [0:0] o);\n"
        "  reg [3:0] inner_i;\n"
        "  wire [0:0] inner_o;\n"
        "  unit unit(.clk(clk), .i(inner_i), .o(inner_o));\n"
        "  always @(posedge clk) begin\n"
        "    inner_i <= i;\n"
        "    o <= inner_o;\n"
        "  end\n"
        "endmodule\n"
    )


def test_a_training_step_is_measured():
    assert 0 < measure_training_step(count=1) < 10
