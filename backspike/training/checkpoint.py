"""Files of arrays and plain values, written all or nothing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backspike.files import write_whole

__all__ = ["load_arrays", "save_arrays"]


def save_arrays(path: Path, arrays: dict[str, NDArray], rest: dict[str, Any]) -> None:
    """Write arrays, and plain values as JSON under ``rest``, to an .npz file, all or nothing."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays, rest=np.array(json.dumps(rest)))
    write_whole(path, buffer.getvalue())


def load_arrays(path: Path) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Arrays and plain values that :func:`save_arrays` wrote.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
            rest = json.loads(str(arrays.pop("rest")))
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        # What numpy does with a file depends on its first bytes.
        raise ValueError(f"{path} must be an .npz file of arrays and settings") from None
    return arrays, rest
