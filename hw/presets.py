"""Named configurations, and how one is read from a TOML file and the command line."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from backspike.hw.arith.format import Float
from backspike.hw.config import (
    KIB,
    ArrayConfig,
    BpSrams,
    ChipConfig,
    Clocks,
    DramConfig,
    FpSrams,
    MeshConfig,
    NocConfig,
)
from backspike.hw.setting import ConfigError, WholeNumber

__all__ = ["PRESETS", "from_settings", "load"]

PRESETS = {
    config.name: config
    for config in (
        # The chip of the paper: 32 cores, 2073 KB of SRAM each (Suppl. Table 2).
        ChipConfig(),
        # One VCU128 board of the paper's five: four of its cores at FPGA clocks. Twice its bp.dw
        # holds a tile of 3x3 kernels while the one before is stored: a WG_CONV makes a whole one.
        ChipConfig(
            name="vcu128",
            bp=BpSrams(dw=18 * KIB),
            mesh=MeshConfig(columns=2, rows=2),
            clocks=Clocks(core_mhz=150, noc_mhz=200),
        ),
        # For tests: the smallest arrays in which every kind of boundary is crossed by small maps.
        ChipConfig(
            name="tiny",
            array=ArrayConfig(lanes=4, spike_pixels=4, pipeline_lanes=2),
            fp=FpSrams(
                s_in=4 * KIB,
                w=32 * KIB,
                conv_fp=32 * KIB,
                conv_banks=2,
                u=8 * KIB,
                s_out=4 * KIB,
                spike=4 * KIB,
                other=4 * KIB,
            ),
            bp=BpSrams(
                du_next=8 * KIB,
                w=32 * KIB,
                conv_bp=32 * KIB,
                conv_banks=2,
                du=8 * KIB,
                u=8 * KIB,
                s=4 * KIB,
                dw=16 * KIB,
                other=4 * KIB,
            ),
            mesh=MeshConfig(columns=2, rows=1),
            clocks=Clocks(core_mhz=100, noc_mhz=133),
            dram=DramConfig(bus_bits=64),
            noc=NocConfig(flit_bits=64, packet_flits=8),
        ),
    )
}
"""The named configurations."""


def load(source: str | Path, overrides: Iterable[str] = ()) -> ChipConfig:
    """The configuration that ``source`` names, with single settings changed.

    Parameters
    ----------
    source : str or Path
        Name of a preset, or a file ending in ``.toml``. The tables of the file mirror the sections;
        what it leaves out comes from the preset that its key ``base`` names (``paper`` without
        one), and the file's name is the name of the configuration unless it has a key ``name``.
    overrides : iterable of str
        ``KEY=VALUE`` with a dotted key and a TOML value, e.g. ``array.lanes=8``. Each becomes a
        part of the configuration's name, so that two chips do not share an output folder, unless
        the name itself is overridden.

    Raises
    ------
    ConfigError
        If something is unknown, unreadable or impossible.
    """
    if str(source) in PRESETS:
        base, values = PRESETS[str(source)], dict[str, Any]()
    elif str(source).endswith(".toml"):
        base, values = _read_toml(Path(source))
    else:
        raise ConfigError(
            f"a configuration must be a preset ({', '.join(PRESETS)}) or a file ending in .toml, "
            f"not {str(source)!r}"
        )
    renamed = False
    changes = []
    for override in overrides:
        key, equals, text = (part.strip() for part in override.partition("="))
        if not equals:
            raise ConfigError(f"an override must look like array.lanes=8, not {override!r}")
        value = _parse_value(text)
        if isinstance(value, dict):
            raise ConfigError(f"an override must be of one setting, not {override!r}")
        *path, leaf = key.split(".")
        table = values
        for step in path:
            table = table.setdefault(step, {})
            if not isinstance(table, dict):
                raise ConfigError(
                    f"{key} = {value!r} is not a setting, since {step} holds no settings"
                )
        table[leaf] = value
        renamed |= key == "name"
        changes.append(f"{key}-{text}")
    if changes and not renamed:
        values["name"] = "-".join([str(values.get("name", base.name)), *changes])
    return _replace(base, values)


def from_settings(values: Mapping[str, Any]) -> ChipConfig:
    """The configuration that :meth:`backspike.hw.config.ChipConfig.to_dict` has made a dictionary
    of.

    Raises
    ------
    ConfigError
        If something is unknown or impossible.
    """
    return _replace(ChipConfig(), values)


def _parse_value(text: str) -> Any:
    """A TOML value, or a bare word as the string it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _read_toml(path: Path) -> tuple[ChipConfig, dict[str, Any]]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    base = values.pop("base", "paper")
    if not isinstance(base, str) or base not in PRESETS:
        raise ConfigError(f"base must be one of {', '.join(PRESETS)}, not {base!r}")
    return PRESETS[base], {"name": path.stem, **values}


def _replace(base: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """``base`` with the given fields replaced; nested tables go into nested dataclasses."""
    known = [field.name for field in dataclasses.fields(base)]
    changes = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key not in known:
            where = f"[{prefix[:-1]}]" if prefix else "a configuration"
            raise ConfigError(
                f"{path} = {value!r} is not a setting, {where} has {', '.join(known)}"
            )
        inner = getattr(base, key)
        if not dataclasses.is_dataclass(inner):
            changes[key] = value
        elif isinstance(value, Mapping):
            changes[key] = _replace(inner, value, f"{path}.")
        else:
            raise ConfigError(f"{path} must be a table of settings, not {value!r}")
    if isinstance(base, Float):
        return _make_format(base, changes)
    return dataclasses.replace(base, **changes)


def _make_format(base: Float, changes: dict[str, Any]) -> Float:
    """A format with changed fields; Float itself checks ranges but takes the types for granted."""
    for key, value in changes.items():
        if value not in WholeNumber(1, 32):
            raise ConfigError(f"format.{key} must be {WholeNumber(1, 32)}, not {value!r}")
    try:
        return dataclasses.replace(base, **changes)
    except ValueError as error:
        raise ConfigError(f"format is impossible: {error}") from None
