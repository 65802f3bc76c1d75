"""What the traffic tests and the bench that they launch have in common."""

from __future__ import annotations

__all__ = ["VARIABLE", "WRONG"]

VARIABLE = "TRAFFIC_SETTINGS"
"""Environment variable that tells a launched bench what to do."""
WRONG = ("misrouted", "out_of_order", "corrupted", "of_wrong_length")
"""Results that must not be."""
