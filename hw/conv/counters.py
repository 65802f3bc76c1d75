"""The counters of a convolution engine."""

from __future__ import annotations

from amaranth import Module, Signal, Value, signed

from hw.counters import Counters, cycle_events

__all__ = ["ConvCounters"]


class ConvCounters:
    """Counters of the FP and BP engines: those of :class:`hw.counters.Counters` and port accesses.

    Parameters
    ----------
    lanes : int
        Lanes that can take part in a cycle.
    entries : int
        Most entries of a window.
    ports : tuple of str
        Memory ports of the engine whose accesses are counted, e.g. ``w_read`` as ``w_reads``.
    """

    def __init__(self, *, lanes: int, entries: int, ports: tuple[str, ...]):
        self._entries = entries
        self._ports = ports
        self._events = {
            "busy": 1,
            "stalled": 1,
            "idle": 1,
            "skipped": signed(entries.bit_length() + 1),
            "lanes": lanes.bit_length(),
            **{f"{port}s": 1 for port in ports},
        }
        self._counters = Counters(**self._events)

    @property
    def values_shape(self):
        """Shape of the engine's ``counters`` port."""
        return self._counters.signature.members["values"].shape

    def connect(self, m: Module, engine, front, *, take: Value, entering: Value) -> None:
        """Adds the counters to ``engine``; ``take`` has a bit per lane that takes part.

        ``skipped`` gains the dense cycles of each window that is made and loses each cycle that is
        spent, so it is right when the engine is done.
        """
        m.submodules.count = count = self._counters
        enters, dense = Signal(), Signal(range(self._entries + 1))
        present = [front.present[entry] & front.window for entry in range(self._entries)]
        m.d.sync += dense.eq(sum(present, 0))
        m.d.comb += [
            enters.eq(entering),
            count.clear.eq(engine.clear_counters),
            count.events.lanes.eq(sum((take[lane] for lane in range(len(take))), 0)),
            count.events.skipped.eq(dense - enters),
            engine.counters.eq(count.values),
        ]
        for name in self._ports:
            port = getattr(engine, name)
            m.d.comb += count.events[f"{name}s"].eq(port.en & port.ready)
        cycle_events(m, count, running=engine.running, entering=enters)
