"""What a test tells the cocotb testbench that it launches, through the environment."""

from __future__ import annotations

import os
import pickle
from typing import Any

__all__ = ["bench_settings", "environment"]

VARIABLE = "BENCH_SETTINGS"


def environment(settings: object) -> dict[str, str]:
    """The variable in which a launched testbench finds ``settings``."""
    return {VARIABLE: pickle.dumps(settings).hex()}


def bench_settings() -> Any:
    """The settings that the test which launched this simulation made."""
    return pickle.loads(bytes.fromhex(os.environ[VARIABLE]))
