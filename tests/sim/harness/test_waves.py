"""Without this, WAVES=1 could leave no file, or one that no viewer can read."""

from __future__ import annotations

import re

import pylibfst

from backspike.hw.arith.format import BINARY16
from backspike.hw.neuron.update import UpdateEngine
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.cosim import run


def changes(path, name: str) -> list[str]:
    """The values that the signal ``name`` of an FST file takes, one after the other."""
    file = pylibfst.lib.fstReaderOpen(str(path).encode())
    assert file != pylibfst.ffi.NULL
    _, signals = pylibfst.get_scopes_signals2(file)
    pylibfst.lib.fstReaderSetFacProcessMask(file, signals.by_name[name].handle)
    values = []
    pylibfst.fstReaderIterBlocks(
        file, lambda data, time, handle, value: values.append(pylibfst.string(value))
    )
    pylibfst.lib.fstReaderClose(file)
    return values


def test_a_run_leaves_an_fst_of_all_signals(capsys):
    top = EngineBench(
        UpdateEngine(format=BINARY16, lanes=2, update_lanes=1),
        dict.fromkeys(("dw", "w", "v", "stored"), 8),
    )
    run(top, "tests.sim.harness.cocotb_waves", waves=True)
    (path,) = re.findall("waves: (.*)", capsys.readouterr().out)
    assert changes(path, "bench.running") == ["0", "1", "0"]
