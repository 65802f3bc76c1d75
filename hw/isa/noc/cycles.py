"""About how many cycles NOC_DATA and NOC_CTRL take."""

from __future__ import annotations

from backspike.hw.isa.noc.instructions import Flow
from backspike.hw.isa.work import Work

__all__ = ["noc_cycles"]

LATENCY = 49
"""Cycles beside those of its words, with the latency of the network."""


def noc_cycles(work: Work, *, sources: tuple[str, ...]) -> int:
    """Cycles of NOC_DATA, whose ``data_type`` is a place in ``sources``, or of NOC_CTRL."""
    config, values = work.config, work.values
    if "data_type" not in values:
        return LATENCY
    cycles = values["rows"] * values["words"]
    if values["flow_type"] != Flow.CORE.value:
        flits = -(-config.srams[sources[values["data_type"]]].width // config.noc.flit_bits)
        cycles = int(cycles * max(1.0, flits / config.clocks.ratio))
    return cycles + LATENCY
