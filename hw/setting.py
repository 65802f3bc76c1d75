"""What configurations are made of: settings that say what they may be, and sections of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["ConfigError", "PowerOfTwo", "Section", "WholeNumber", "setting"]


class ConfigError(ValueError):
    """A setting that does not exist or cannot be built; its text is one sentence."""


@dataclass(frozen=True)
class WholeNumber:
    """Whole numbers from ``low`` to ``high``."""

    low: int
    high: int

    def __contains__(self, value: object) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class PowerOfTwo(WholeNumber):
    """Powers of two from ``low`` to ``high``."""

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) and isinstance(value, int) and value.bit_count() == 1

    def __str__(self) -> str:
        return f"a power of two from {self.low} to {self.high}"


def setting(default: int, allowed: WholeNumber, unit: str, why: str) -> Any:
    """A field of a section: its default, what it may be, its unit and what it is for."""
    return dataclasses.field(
        default=default, metadata={"allowed": allowed, "unit": unit, "why": why}
    )


@dataclass(frozen=True, kw_only=True)
class Section:
    """Base of the sections: every field made by :func:`setting` is checked against ``allowed``."""

    section: ClassVar[str]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, allowed = getattr(self, field.name), field.metadata["allowed"]
            if value not in allowed:
                raise ConfigError(f"{self.section}.{field.name} must be {allowed}, not {value!r}")

    def require_at_most(self, name: str, limit: str) -> None:
        """Raise ConfigError unless the setting ``name`` is at most the setting ``limit``."""
        value, most = getattr(self, name), getattr(self, limit)
        if value > most:
            raise ConfigError(
                f"{self.section}.{name} must be at most {self.section}.{limit} = {most}, "
                f"not {value}"
            )
