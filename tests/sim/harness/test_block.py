"""Without these, cores that are Verilated once could do other things than those in one piece."""

from __future__ import annotations

import dataclasses
import pickle
import re
from functools import cache

import pytest

from backspike.hw.emit import emit
from backspike.sim.harness import block
from backspike.sim.harness.block import VerilatedBlock, modules_of
from backspike.sim.harness.cosim import build, run
from backspike.sim.harness.tools import ToolError
from tests.sim.harness.cells import CellBench
from tests.sim.harness.cocotb_cells import CYCLES
from tests.sim.harness.test_waves import changes

FACTOR = 5


def bench(cells, *, factor=FACTOR, blocks=("cell_module",)):
    return CellBench(cells=cells, factor=factor, blocks=blocks)


@cache
def emission(*, factor=FACTOR, cells=2):
    return emit(bench(cells, factor=factor))


def block_of(emission, *, waves=False):
    return VerilatedBlock(emission, "cell_module", waves=waves)


def trace(top, path, **settings):
    environment = {"CELLS": str(top.cells), "TRACE": str(path)}
    run(top, "tests.sim.harness.cocotb_cells", environment=environment, **settings)
    return pickle.loads(path.read_bytes())


def test_blocks_do_what_modules_do(tmp_path):
    names, seen, filled, left = trace(bench(3), tmp_path / "blocks")
    _, expected, expected_filled, expected_left = trace(bench(3, blocks=()), tmp_path / "modules")
    for cycle, (found, wanted) in enumerate(zip(seen, expected, strict=True)):
        assert dict(zip(names, found, strict=True)) == dict(zip(names, wanted, strict=True)), cycle
    assert (filled == expected_filled).all()
    assert (left == expected_left).all()
    assert all((left[n] != filled[n]).any() for n in range(3))
    assert len({tuple(row) for row in seen}) > len(seen) // 2


def test_a_block_is_built_once_for_all_tops(monkeypatch, tmp_path):
    build(bench(3))
    monkeypatch.setattr(block, "call_tool", lambda *_, **__: pytest.fail("built again"))
    names, _, _, _ = trace(bench(2), tmp_path / "trace")
    assert len(names) == 6


def test_a_block_is_built_anew_when_its_contents_change():
    assert block_of(emission()).folder == block_of(emission(cells=5)).folder
    assert block_of(emission()).folder != block_of(emission(factor=7)).folder
    assert block_of(emission()).folder != block_of(emission(), waves=True).folder


def test_the_top_is_left_without_what_is_in_blocks():
    assert modules_of(emission(), "bench", without=["cell_module"]) == ("bench",)
    assert set(modules_of(emission(), "bench")) == set(emission().modules)
    assert "bench" not in modules_of(emission(), "cell_module")


def test_waves_have_the_insides_of_blocks(capsys, tmp_path):
    trace(bench(2), tmp_path / "trace", waves=True)
    (path,) = re.findall("waves: (.*)", capsys.readouterr().out)
    inner = "cell_module_block.inner"
    states = [changes(path, f"bench.cell_{n}.{inner}.state [15:0]") for n in range(2)]
    assert all(len(values) > CYCLES // 2 for values in states)
    assert states[0] != states[1]


def test_a_block_must_be_in_the_bench():
    with pytest.raises(ValueError) as error:
        build(bench(2, blocks=("core",)))
    assert str(error.value) == "a block must be a module of bench, not 'core'"


def broken(**fields):
    modules = emission().modules
    module = dataclasses.replace(modules["cell_module"], **fields)
    return dataclasses.replace(emission(), modules={**modules, "cell_module": module})


def test_a_block_must_have_a_clock():
    with pytest.raises(ValueError) as error:
        block_of(broken(ports=()))
    assert str(error.value) == "a block must have 1 to 30 clocks, but cell_module has 0"


def test_a_block_must_have_an_input_and_an_output():
    ports = emission().modules["cell_module"].ports
    for left_out in ("input", "output"):
        few = [port for port in ports if port.direction != left_out or "clk" in port.name]
        with pytest.raises(ValueError) as error:
            block_of(broken(ports=few))
        assert str(error.value) == (
            "a block must have an input and an output, but cell_module has not"
        )


def test_a_block_that_cannot_be_built_names_its_log():
    made = block_of(broken(text="nonsense\n"))
    for _ in range(2):
        with pytest.raises(ToolError) as error:
            made.build()
        log = made.folder / "verilator.log"
        assert str(error.value) == f"verilator failed with status 1, and says why in {log}"
        assert "nonsense" in log.read_text()
