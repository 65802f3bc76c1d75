"""WG_CONV."""
