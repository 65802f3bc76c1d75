"""Runs a cocotb testbench on the Verilated form of a component, building it once."""

from __future__ import annotations

import contextlib
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import cocotb
from cocotb_tools import config as cocotb_config
from cocotb_tools.runner import Verilator

from backspike.hw.emit import Emission, emit
from backspike.sim.harness.bench import EngineBench
from backspike.sim.harness.block import VerilatedBlock, control_file, modules_of
from backspike.sim.harness.tools import (
    BUILD_ROOT,
    MAKE_FLAGS,
    TIMESCALE,
    VERILATOR_FLAGS,
    ToolError,
    digest_of,
    made_once,
    trace_arguments,
    verilator_environment,
)

__all__ = ["build", "run"]

HERE = Path(__file__).parent
BACKDOOR = HERE / "backdoor.cpp"
MAIN = HERE / "main.cpp"
COCOTB_MAIN = Path(cocotb_config.share_dir) / "lib" / "verilator" / "verilator.cpp"


class _Runner(Verilator):
    """cocotb's runner, with only the memories and the top's ports open, and its code optimised.

    Its own ``--public-flat-rw`` opens every signal, which keeps Verilator from optimising any.
    """

    def __init__(self, blocks: Sequence[VerilatedBlock]):
        super().__init__()
        self._blocks = blocks

    def _build_command(self) -> list[list[str]]:
        commands = super()._build_command()
        verilate, make = commands
        verilate.remove("--public-flat-rw")
        verilate += ["-LDFLAGS", "-rdynamic"]
        if self._blocks:
            verilate[verilate.index(str(COCOTB_MAIN))] = str(MAIN)
            verilate += ["-CFLAGS", f"-DCOCOTB_MAIN='\"{COCOTB_MAIN}\"'"]
            verilate += [
                word for block in self._blocks for path in block.objects
                for word in ("-LDFLAGS", str(path))
            ]  # fmt: skip
        return [verilate, [*make, *MAKE_FLAGS]]


def build(top: EngineBench, *, waves: bool = False) -> tuple[_Runner, str, Path]:
    """Emits and Verilates ``top``; a second build of the same Verilog costs little.

    Modules that ``top`` names in its attribute ``blocks``, if it has one, are Verilated on their
    own, once for all their instances; other tops have use of these builds, too. See
    :class:`backspike.sim.harness.block.VerilatedBlock`.

    Returns the runner, the name of the top module, and the folder it was built in.

    Raises
    ------
    ToolError
        If Verilator or the compiler fails.
    """
    emission = emit(top, cache=BUILD_ROOT / "verilog")
    os.environ.update(verilator_environment())
    blocks = [VerilatedBlock(emission, name, waves=waves) for name in getattr(top, "blocks", ())]
    for block in blocks:
        block.build()
    texts = _sources(emission, blocks)
    digest = digest_of(
        *texts.values(),
        *(block.folder.name for block in blocks),
        str(waves),
        # The program is linked with libraries of cocotb where they lie.
        str(COCOTB_MAIN),
        cocotb.__version__,
        BACKDOOR.read_text(),
        MAIN.read_text(),
    )
    folder = BUILD_ROOT / "sim" / f"{top.title}-{digest}"
    runner, done, sources = _Runner(blocks), folder / "built", folder / "src"
    with made_once(done) as wanted:
        if wanted:
            sources.mkdir()
            for name, text in texts.items():
                (sources / name).write_text(text)
            log = folder / "build.log"
            try:
                runner.build(
                    sources=[sources / name for name in texts],
                    hdl_toplevel=emission.top,
                    build_dir=folder,
                    build_args=[
                        *VERILATOR_FLAGS,
                        *(trace_arguments() if waves else ()),
                        str(BACKDOOR),
                    ],
                    waves=waves,
                    timescale=TIMESCALE,
                    log_file=log,
                )
            except RuntimeError:
                raise ToolError(
                    f"Verilator or the compiler failed on {top.title}, and says why in {log}"
                ) from None
            done.touch()
        else:
            runner.build_dir = folder
    return runner, emission.top, folder


def _sources(emission: Emission, blocks: Sequence[VerilatedBlock]) -> dict[str, str]:
    """The files that Verilator reads: Verilog of what is no block, and what may be accessed."""
    # Nothing but ports: whatever depends on a signal that may be written from outside is evaluated
    # anew at every change of the clock, which took half of the time.
    ports = [
        f"public_flat_{'rw' if port.direction == 'input' else 'rd'} "
        f'-module "{emission.top}" -var "{port.name}"'
        for port in emission.modules[emission.top].ports
    ]
    modules = modules_of(emission, emission.top, without=[block.name for block in blocks])
    return {
        "public.vlt": control_file(modules, *ports),
        **{f"{block.name}.sv": block.stub for block in blocks},
        **{f"{name}.v": emission.texts[name] for name in modules},
    }


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
    ToolError
        If ``top`` cannot be built.
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
            timescale=TIMESCALE,
        )
    if waves:
        print(f"waves: {wave_file}")
    seconds = _times(test_module, results, log)
    results.unlink()
    log.unlink()
    return seconds


def _times(test_module: str, results: Path, log: Path) -> dict[str, float]:
    """Seconds of each test, from what cocotb has left; raises if one failed, or none ran."""
    cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    if failed or not cases:
        sys.stderr.write(log.read_text())
        raise RuntimeError(f"{test_module}: {failed or 'no test ran'} (log: {log})")
    return {case.get("name", ""): float(case.get("time", 0)) for case in cases}
