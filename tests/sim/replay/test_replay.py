"""The replay: without these, a step that the hardware does not repeat could pass unnoticed."""

import numpy as np
import pytest

from hw.presets import load
from scripts.replay import replay
from sim.model import UpdateRule
from sim.model.network import Layer, Network, Weights
from sim.replay import stages
from sim.replay.job import Scene, parts


@pytest.fixture(scope="module")
def step():
    """A training step of a small network, and the chip it is for."""
    config = load("tiny")
    network = Network.for_chip(
        config,
        layers=(
            Layer(m_size=5, kernel=(3, 3), padding=(1, 1, 1, 1)),
            Layer(m_size=6, kernel=(3, 2), stride=(2, 2), padding=(1, 1, 0, 1)),
            Layer(m_size=7, kernel=(2, 2), padding=(1, 0, 0, 1), pool=2),
            Layer(m_size=3, fully_connected=True),
        ),
        input_size=(9, 7, 2),
        steps=3,
        planes=2,
        wg_samples=2,
    )
    random = np.random.default_rng(6)
    weights = [
        Weights.start(random.normal(scale=(2 / np.prod(shape[1:])) ** 0.5, size=shape))
        for shape in network.weight_shapes
    ]
    record = network.train_step(
        random.integers(0, 5, (1, 4, *network.input_size)),
        np.eye(3)[[0, 1, 2, 1]],
        weights,
        UpdateRule(lr=0.1, mu=0.9, k=1 / 64),
        loss_scale=64,
    )
    assert record.updated
    assert all(layer.s.any() and layer.du.any() for layer in record.layers)
    return config, network, record


def test_a_step_is_repeated_to_the_bit(step, tmp_path, capsys):
    config, network, record = step
    assert replay(config, network, {"only": record}, tmp_path)
    said = capsys.readouterr().out
    assert ", 0 differ" in said
    assert all(name in said for name in stages.STAGES)


@pytest.mark.parametrize(
    ("stage", "layer", "array"),
    [
        ("FP", 0, "psum_fp"),
        ("Soma", 1, "s_out"),
        ("BP", 2, "psum_bp"),
        ("Grad", 2, "du"),
        ("WG", 0, "dw"),
        ("WU", 1, "w_new"),
    ],
)
def test_a_single_wrong_value_fails(step, tmp_path, capsys, monkeypatch, stage, layer, array):
    config, network, record = step
    monkeypatch.setattr("scripts.replay.STAGES", {stage: stages.STAGES[stage]})
    values = getattr(record.layers[layer], array).copy()
    wrong = values.reshape(-1)
    wrong[wrong.size // 2] = (
        1 - wrong[wrong.size // 2] if array == "s_out" else 1 + wrong[wrong.size // 2]
    )
    monkeypatch.setattr(record.layers[layer], array, values)
    assert not replay(config, network, {"only": record}, tmp_path)
    assert ", 0 differ" not in capsys.readouterr().out


@pytest.mark.parametrize("status", ["overflow", "invalid"])
def test_a_status_of_the_model_alone_fails(step, tmp_path, capsys, monkeypatch, status):
    config, network, record = step
    monkeypatch.setattr("scripts.replay.STAGES", {"WU": stages.STAGES["WU"]})
    monkeypatch.setattr(record.status, status, True)
    assert not replay(config, network, {"only": record}, tmp_path)
    assert f"the status {status} of the only step is set in the model alone" in (
        capsys.readouterr().out
    )


def test_nothing_is_expected_that_was_there_before(step):
    """What the commands of a job, or of a chain of jobs, leave undone must not be found done."""
    config, network, record = step
    scene = Scene(config=config, network=network, record=record)
    for name, stage in stages.STAGES.items():
        before = {}
        for job in stage.jobs(scene):
            for memory, first, words in job.guard:
                before[memory, first] = words
            for memory, first, words in job.expected:
                bits = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1)
                written = job.written.get(memory, np.full_like(bits, 0xFF))
                assert ((before[memory, first][: len(bits)] ^ bits) == written).all(), name


def test_parts_fill_the_smallest_memory():
    assert list(parts(5, {"a": (10, 4), "b": (9, 1)}, "this")) == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 5),
    ]
    with pytest.raises(ValueError, match="a must have at least 4 words for this, not 3"):
        list(parts(5, {"a": (3, 4)}, "this"))
