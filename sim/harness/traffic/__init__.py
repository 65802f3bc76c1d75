"""Traffic for networks on chip, made and checked in hardware: no Python runs in each cycle."""
