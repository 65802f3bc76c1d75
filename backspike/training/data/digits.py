"""The task: scikit-learn's digits, and the network that learns them."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

from backspike.compiler.planning.core import samples_for
from backspike.hw.config import ChipConfig
from backspike.network import Layer, Network
from backspike.sim.model import Status, round_values
from backspike.sim.model.network import Weights, forward
from backspike.training.settings import TrainingSettings

__all__ = ["CLASSES", "Data", "accuracy", "digits_network", "load_digits"]

CLASSES = 10
IMAGE_SIZE = (8, 8)
PLANES = 4
"""Pixels are 0..16, sixteenths of 1: bit planes 0..4."""
STEPS = 4
"""Time steps T."""
EVALUATION_BATCH = 120
"""Samples in memory at a time when accuracy is measured; changes no result."""


class Data(NamedTuple):
    """Images of shape (sample, y, x, 1) with pixels 0..16, and their labels."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]


@cache
def load_digits() -> tuple[Data, Data]:
    """Scikit-learn's digits: 80 % to train and 20 % to test with, stratified, always the same."""
    digits = datasets.load_digits()
    x = digits.images.astype(np.uint8)[..., None]
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.target, test_size=0.2, stratify=digits.target, random_state=0
    )
    return Data(x_train, y_train), Data(x_test, y_test)


def digits_network(config: ChipConfig, settings: TrainingSettings) -> Network:
    """16C3-16C3-maxpool2-FC10, T = 4, alpha 0.5, threshold 1, window [th_l, 2], no bias."""
    padding = (1, 1, 1, 1)
    th_l = float(round_values(settings.th_l, config.format))
    if settings.th_l and not th_l:
        raise ValueError(f"th_l must be 0 or a number of {config.format}, not {settings.th_l}")
    scale = float(round_values(settings.loss_scale / (settings.batch * STEPS), config.format))
    if not 0 < scale < math.inf:
        raise ValueError(
            f"loss_scale must be a number of {config.format} when divided by batch * {STEPS}, "
            f"not {settings.loss_scale}"
        )
    height, width = IMAGE_SIZE
    network = Network.for_chip(
        config,
        layers=(
            Layer(m_size=16, kernel=(3, 3), padding=padding, th_l=th_l),
            Layer(m_size=16, kernel=(3, 3), padding=padding, pool=2, th_l=th_l),
            Layer(m_size=CLASSES, fully_connected=True, th_l=th_l),
        ),
        input_size=(height, width, 1),
        steps=STEPS,
        planes=PLANES,
        wg_samples=1,
    )
    # As many samples in one WG instruction as the core has room for.
    return dataclasses.replace(network, wg_samples=samples_for(network, config, settings.batch))


def accuracy(network: Network, weights: list[Weights], data: Data) -> float:
    """Share of samples whose label has the highest firing rate, the first of equals."""
    right = 0
    for first in range(0, len(data.x), EVALUATION_BATCH):
        part = slice(first, first + EVALUATION_BATCH)
        out = forward(network, data.x[None, part], weights, status=Status())[-1].s_out
        right += int((out.sum(axis=0)[:, 0, 0].argmax(axis=-1) == data.y[part]).sum())
    return right / len(data.x)
