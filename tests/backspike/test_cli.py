"""Without these, bad input could end in a traceback, or a mistyped verb in silence."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from backspike import cli
from backspike.hw.config import ConfigError
from backspike.sim.harness.tools import ToolError


@pytest.fixture
def verb(monkeypatch):
    """A function that puts code behind the verb ``train``."""

    def put(run):
        def add_arguments(parser):
            parser.add_argument("--number", type=int, default=0)

        module = SimpleNamespace(add_arguments=add_arguments, run=run)
        monkeypatch.setattr(
            cli.importlib, "import_module", {"backspike.commands.train": module}.__getitem__
        )

    return put


def test_runs_the_module_of_the_verb(verb):
    verb(lambda args: args.number)
    assert cli.main(["train", "--number", "3"]) == 3


def test_version_and_help(capsys):
    for option in ("--version", "--help"):
        with pytest.raises(SystemExit) as exit_:
            cli.main([option])
        assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(metadata.version("backspike"))
    assert all(verb in text for verb in cli.VERBS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "backspike: the following arguments are required: VERB"),
        (["train-me"], "backspike: argument VERB: invalid choice: 'train-me' (choose from "),
        (["train", "--number", "x"], "backspike train: argument --number: invalid int value: 'x'"),
    ],
)
def test_bad_arguments(verb, capsys, arguments, message):
    verb(lambda args: 0)
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.startswith(message)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConfigError("array.lanes must be 4, not 5"), "array.lanes must be 4, not 5"),
        (FileNotFoundError(2, "No such file or directory", "a.toml"), "a.toml: No such file or d"),
        (OSError("no Verilator"), "no Verilator"),
        (ToolError("make failed"), "make failed"),
    ],
)
def test_bad_input_is_one_sentence(verb, capsys, error, message):
    def run(args):
        raise error

    verb(run)
    assert cli.main(["train"]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"backspike train: {message}")
    assert text.count("\n") == 1


def test_a_bug_keeps_its_traceback(verb):
    def run(args):
        raise ValueError("shapes differ")

    verb(run)
    with pytest.raises(ValueError, match="shapes differ"):
        cli.main(["train"])


def test_interrupt(verb, capsys):
    def run(args):
        raise KeyboardInterrupt

    verb(run)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "backspike train: interrupted\n"


def test_a_reader_that_goes_away_is_no_error():
    # The pipe is closed before anything is written, as `head` does when it has read enough.
    code = (
        "import types, sys; from backspike import cli\n"
        "def run(args):\n"
        "    for _ in range(100000): print('words')\n"
        "module = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)\n"
        "cli.importlib = types.SimpleNamespace(import_module=lambda name: module)\n"
        "sys.exit(cli.main(['train']))\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_start_is_fast():
    """Help must not wait for the imports of every verb."""
    code = (
        "import sys; import backspike.cli; sys.exit(bool({'numpy', 'amaranth'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
