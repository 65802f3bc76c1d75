"""Without this, the example of docs/adding-a-unit.md could stop working."""

from __future__ import annotations

import re
from pathlib import Path

from backspike.hw.emit import emit

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-unit.md"


def test_the_example_works(capsys):
    component, test, emission = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    names: dict = {"__name__": "example"}
    exec(compile(component + test, str(PAGE), "exec", dont_inherit=True), names)
    names["test_counts"]()
    exec(emission, names)
    assert "module spike_count_lanes16(" in capsys.readouterr().out
    assert emit(names["SpikeCount"](lanes=16)).modules["spike_count_lanes16"].latency == 1
