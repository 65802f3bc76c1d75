"""Runs a cocotb testbench on the Verilated form of a component, building it once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

from cocotb_tools.runner import Verilator

from hw.emit import emit
from sim.harness.bench import EngineBench
from sim.harness.tools import (
    BUILD_ROOT,
    build_lock,
    trace_arguments,
    verilator_environment,
    verilator_version,
)

__all__ = ["build", "run"]

HERE = Path(__file__).parent
VERILATOR_FLAGS = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    "-Wno-fatal",
    "-Wno-lint",
    "-LDFLAGS",
    "-rdynamic",
)
MAKE_FLAGS = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2", "OPT_SLOW=-O0")
"""What runs once, to set all up, is half of the code, and not worth the time of optimising it."""


class _Runner(Verilator):
    """cocotb's runner, with only the memories and the top's ports open, and its code optimised.

    Its own ``--public-flat-rw`` opens every signal, which keeps Verilator from optimising any.
    """

    def _build_command(self) -> list[list[str]]:
        commands = super()._build_command()
        verilate, make = commands
        verilate.remove("--public-flat-rw")
        return [verilate, [*make, *MAKE_FLAGS]]


def build(top: EngineBench, *, waves: bool = False) -> tuple[_Runner, str, Path]:
    """Emits and Verilates ``top``; a second build of the same Verilog costs little.

    Returns the runner, the name of the top module, and the folder it was built in.
    """
    emission = emit(top, cache=BUILD_ROOT.resolve() / "verilog")
    # Nothing but ports: whatever depends on a signal that may be written from outside is evaluated
    # anew at every change of the clock, which took half of the time.
    public = [
        f"public_flat_{'rw' if port.direction == 'input' else 'rd'} "
        f'-module "{emission.top}" -var "{port.name}"'
        for port in emission.modules[emission.top].ports
    ]
    public += [
        f'public_flat_rw -module "{name}" -var "words"'
        for name in emission.texts
        if name.startswith(("sram_", "nonzero_map_", "dram_", "recorder_"))
    ]
    control = "`verilator_config\n" + "\n".join(public) + "\n"
    digest = hashlib.sha256()
    for text in (
        *emission.texts.values(),
        control,
        *VERILATOR_FLAGS,
        *MAKE_FLAGS,
        verilator_version(),
        str(waves),
    ):
        digest.update(text.encode())
    digest.update((HERE / "backdoor.cpp").read_bytes())
    folder = BUILD_ROOT.resolve() / "sim" / f"{top.title}-{digest.hexdigest()[:16]}"
    environment = verilator_environment()
    os.environ.update(environment)
    with build_lock(folder):
        runner = _Runner()
        done = folder / "built"
        sources = folder / "src"
        files = [sources / f"{name}.v" for name in emission.texts]
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            sources.mkdir(parents=True)
            for file, text in zip(files, emission.texts.values(), strict=True):
                file.write_text(text)
            (sources / "public.vlt").write_text(control)
            runner.build(
                sources=[sources / "public.vlt", *files],
                hdl_toplevel=emission.top,
                build_dir=folder,
                build_args=[
                    *VERILATOR_FLAGS,
                    *(trace_arguments() if waves else ()),
                    str(HERE / "backdoor.cpp"),
                ],
                waves=waves,
                timescale=("1ns", "1ps"),
                log_file=folder / "build.log",
            )
            done.touch()
        else:
            runner.build_dir = folder
    return runner, emission.top, folder


def run(
    top: EngineBench,
    test_module: str,
    *,
    environment: dict[str, str] | None = None,
    waves: bool | None = None,
    tests: str | None = None,
) -> dict[str, float]:
    """Runs the cocotb tests of ``test_module`` on ``top``.

    Parameters
    ----------
    environment : dict
        Added to the environment of the simulation: how a testbench is told what to do.
    waves : bool
        Leave an FST file; by default where the environment has ``WAVES=1``.
    tests : str
        Regular expression: only tests whose name matches.

    Returns
    -------
    dict
        Seconds each test took, by name.

    Raises
    ------
    RuntimeError
        If a test fails, or if none ran.
    """
    if waves is None:
        waves = os.environ.get("WAVES") == "1"
    runner, name_of_top, folder = build(top, waves=waves)
    name = test_module.rpartition(".")[2]
    results = folder / f"results-{name}-{os.getpid()}.xml"
    log = folder / f"{name}-{os.getpid()}.log"
    wave_file = folder / f"{name}-{os.getpid()}.fst"
    # Simulations run side by side; numpy's threads would only get in their way.
    settings = {"OPENBLAS_NUM_THREADS": "1", **(environment or {})}
    # The runner exits where it finds a failure; what failed is read from the results below.
    with contextlib.suppress(SystemExit), mock.patch.dict(os.environ, settings):
        runner.test(
            test_module=test_module,
            hdl_toplevel=name_of_top,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=Path.cwd(),
            results_xml=str(results),
            waves=waves,
            log_file=log,
            test_filter=tests,
            test_args=["--trace-file", str(wave_file)] if waves else [],
            timescale=("1ns", "1ps"),
        )
    if waves:
        print(f"waves: {wave_file}")
    cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    if failed or not cases:
        sys.stderr.write(log.read_text())
        raise RuntimeError(f"{test_module}: {failed or 'no test ran'} (log: {log})")
    results.unlink()
    log.unlink()
    return {case.get("name", ""): float(case.get("time", 0)) for case in cases}
