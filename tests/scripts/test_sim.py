"""`make sim`: without this, a bench that was moved or misspelt could be left out unnoticed."""

import pytest

from scripts.sim import BENCHES, ROOT, main

LAUNCHES = ("backspike.sim.harness.cosim", "backspike.sim.harness.session", '"--backend", "rtl"')


def test_every_file_that_runs_a_bench_is_listed():
    launching = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if any(launch in path.read_text() for launch in LAUNCHES)
    }
    # This file, and one whose bench is not to be built.
    launching -= {"tests/scripts/test_sim.py", "tests/sim/harness/test_session.py"}
    assert launching == set(BENCHES.values())


def test_an_unknown_bench_is_one_sentence(capsys):
    assert main(["fpp"]) == 2
    assert capsys.readouterr().err == (
        f"scripts.sim: a bench must be one of {', '.join(BENCHES)}, not 'fpp'\n"
    )


@pytest.mark.parametrize("file", BENCHES.values())
def test_listed_files_exist(file):
    assert (ROOT / file).is_file()
