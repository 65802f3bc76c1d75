"""Without this, a resumed run could differ from one never stopped, and bad input end in a trace."""

import csv
import json
import re

import numpy as np
import pytest

from backspike import cli
from backspike.hw.presets import load
from backspike.training import training
from backspike.training.checkpoint import save_arrays
from backspike.training.data.digits import Data
from backspike.training.settings import TrainingSettings

QUICK = ["--epochs", "2", "--batch", "32"]


@pytest.fixture
def few_digits(monkeypatch):
    """A part of the data, so that an epoch takes a second."""
    data, test = training.load_digits()
    few = Data(data.x[:180], data.y[:180]), Data(test.x[:50], test.y[:50])
    monkeypatch.setattr(training, "load_digits", lambda: few)


def start(*arguments):
    return cli.main(["train", "--backend", "model", *arguments])


def files(folder):
    """What a run left, to the bit; archives and pictures hold dates of their own."""
    found = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            found |= {f"{path.name} {name}": arrays[name].tobytes() for name in arrays}
    return found


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    few_digits, tmp_path, monkeypatch, capsys
):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert start(*QUICK, "--out", str(whole)) == 0
    assert "after 2 epochs (12 steps, 0 without an update)" in capsys.readouterr().out

    measure, calls = training.accuracy, []

    def stop_in_the_second_epoch(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "accuracy", stop_in_the_second_epoch)
        assert start(*QUICK, "--out", str(stopped)) == 130
    assert files(stopped) != files(whole)
    assert start(*QUICK, "--out", str(stopped), "--resume") == 0
    assert files(stopped) == files(whole)
    assert {path.name for path in whole.iterdir()} == {
        "checkpoint.npz", "epochs.csv", "program.json", "steps.csv", "training.png",
    }  # fmt: skip

    # Nothing is left to do, and what is there stays.
    assert start(*QUICK, "--out", str(stopped), "--resume") == 0
    assert files(stopped) == files(whole)
    with (whole / "steps.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(12))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])

    assert start(*QUICK, "--seed", "1", "--out", str(stopped), "--resume") == 2
    message = f"seed must be 0 as in the checkpoint {stopped / 'checkpoint.npz'}, not 1\n"
    assert capsys.readouterr().err.endswith(f"backspike train: {message}")


def test_the_core_goes_on_by_itself_and_what_differs_is_told(monkeypatch, tmp_path, capsys):
    """All steps in RTL, the last with fewer samples; then one is compared with a wrong model."""
    data, test = training.load_digits()
    few = Data(data.x[:20], data.y[:20]), Data(test.x[:10], test.y[:10])
    monkeypatch.setattr(training, "load_digits", lambda: few)
    settings = ["--batch", "8", "--epochs", "1", "--out"]
    assert start(*settings, str(tmp_path / "model")) == 0
    assert cli.main(["train", "--backend", "rtl", *settings, str(tmp_path / "rtl")]) == 0
    shown = capsys.readouterr().out
    compared = re.search(r"([\d,]+) values compared, 0 differ", shown)
    assert compared and int(compared[1].replace(",", "")) > 400_000
    assert (tmp_path / "rtl" / "timeline.png").read_bytes().startswith(b"\x89PNG")
    steps = json.loads((tmp_path / "rtl" / "core.json").read_text())
    assert [step["number"] for step in steps] == [0, 1, 2]
    model, rtl = files(tmp_path / "model"), files(tmp_path / "rtl")
    assert model == rtl

    # A run from the checkpoint has nothing left, but for the steps that are checked.
    take = training.TrainingStep.take

    def wrong(step, network, weights):
        record = take(step, network, weights)
        if step.number == 1:
            record.layers[1].w_new[0, 0] += 1
        return record

    monkeypatch.setattr(training.TrainingStep, "take", wrong)
    assert cli.main(["train", "--resume", *settings, str(tmp_path / "model")]) == 1
    assert ", 9 differ; see" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--epochs", "0"], "epochs must be at least 1, not 0"),
        (["--batch", "x"], "argument --batch: invalid int value: 'x'"),
        (["--lr", "nan"], "lr must be a number above 0, not nan"),
        (["--momentum", "1"], "momentum must be from 0 to below 1, not 1.0"),
        (["--loss-scale", "3"], "loss_scale must be a power of two, not 3.0"),
        (["--th-l", "3"], "th_l must be from -2 to 2, not 3.0"),
        (["--backend", "fpga"], "argument --backend: invalid choice: 'fpga'"),
        (["--config", "none"], "a configuration must be a preset"),
        (["--resume"], "checkpoint.npz must be a checkpoint to resume from, and there is none"),
    ],
)
def test_bad_input_is_answered_in_one_sentence(arguments, sentence, tmp_path, capsys):
    try:
        status = start("--out", str(tmp_path), *arguments)
    except SystemExit as exit_:  # argparse leaves so
        status = exit_.code
    assert status == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_broken_checkpoint_is_no_checkpoint(tmp_path, capsys):
    for content in (b"", b"PK\x03\x04 and no more", b"something else", b"\x93NUMPY"):
        (tmp_path / "checkpoint.npz").write_bytes(content)
        assert start("--out", str(tmp_path), "--resume") == 2
        assert "must be an .npz file of arrays and settings" in capsys.readouterr().err
    save_arrays(tmp_path / "checkpoint.npz", {}, {})
    assert start("--out", str(tmp_path), "--resume") == 2
    assert "must be a checkpoint to resume from" in capsys.readouterr().err
    settings = training.Training.start(load("tiny"), TrainingSettings()).describe()
    save_arrays(tmp_path / "checkpoint.npz", {"0.w": np.zeros(3)}, {"settings": settings})
    assert start("--out", str(tmp_path), "--resume") == 2
    assert "must hold 0.w, float32 numbers of shape (" in capsys.readouterr().err
