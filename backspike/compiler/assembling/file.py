"""The programs of a core as a file: their words, and for people the reason of each instruction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backspike.compiler.assembling.program import Program
from backspike.files import write_whole
from backspike.hw.config import ChipConfig
from backspike.hw.isa.table import UNITS
from backspike.hw.presets import from_settings

__all__ = ["StoredProgram", "load_programs", "save_programs"]

FORMAT = "backspike program 1"


@dataclass(frozen=True, kw_only=True)
class StoredProgram:
    """The program of one sub-core."""

    words: list[int]
    reasons: dict[int, str]
    """By the position of an instruction's first word."""
    phases: dict[int, str]
    """By the position that each begins at."""


def save_programs(path: Path, config: ChipConfig, programs: Mapping[str, Program]) -> None:
    """Write the programs of a core of ``config``, all or nothing."""
    content = {
        "format": FORMAT,
        "configuration": config.to_dict(),
        "programs": {
            subcore: {
                "words": [f"{int(word):08x}" for word in program.words],
                "reasons": program.reasons,
                "phases": program.phases,
            }
            for subcore, program in programs.items()
        },
    }
    write_whole(path, json.dumps(content))


def load_programs(path: Path) -> tuple[ChipConfig, dict[str, StoredProgram]]:
    """Read what :func:`save_programs` wrote.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError
        programs = {
            subcore: StoredProgram(
                words=[int(word, 16) for word in content["programs"][subcore]["words"]],
                reasons=_positions(content["programs"][subcore]["reasons"]),
                phases=_positions(content["programs"][subcore]["phases"]),
            )
            for subcore in content["programs"]
            if subcore in UNITS
        }
        return from_settings(content["configuration"]), programs
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path} must be a file of programs, as backspike train leaves one"
        ) from None


def _positions(texts: Mapping[str, Any]) -> dict[int, str]:
    return {int(position): str(text) for position, text in texts.items()}
