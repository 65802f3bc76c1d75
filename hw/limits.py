"""What the commands of every chip have room for, whatever its configuration."""

__all__ = ["PLANE_BITS", "PLANE_MAX", "POOLING_MAX", "TAP_BITS", "TAP_MAX"]

TAP_BITS = 3
TAP_MAX = (1 << TAP_BITS) - 1
"""Largest kernel size, stride and padding, in pixels."""
PLANE_BITS = 4
PLANE_MAX = (1 << PLANE_BITS) - 1
"""Largest number b of a bit plane of a direct input, which counts 2**-b."""
POOLING_MAX = 4
"""Largest window of max-pooling, in pixels a side."""
