"""What all engines have in common: a command, from start to done, on memories behind ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from backspike.hw.component import EmitOnce
from backspike.hw.counters import Counters, CounterValues

__all__ = ["Engine"]


class Engine(EmitOnce):
    """Base of the engines.

    Parameters
    ----------
    command : shape
        Of the command, e.g. a ``data.Struct``.
    ports : dict
        Members that are memory ports, by names ending in ``_read`` and ``_write``.
    counts : dict of str to shape
        Of the amounts by which counters beside ``busy``, ``stalled``, ``idle`` and those of the
        ports grow in a cycle.
    parameters : dict
        As of :class:`backspike.hw.component.EmitOnce`.
    members : dict
        Members besides.

    Members
    -------
    start : In(1), command : In(command)
        The command is held from ``start`` to ``done``; a start while running is ignored.
    running : Out(1), done : Out(1)
        ``done`` is high for one cycle, after the last write.
    overflow : Out(1), invalid : Out(1)
        High in each cycle in which the status is to be set; never after ``done``.
    clear_counters : In(1), counters : Out(struct)
        Of :class:`backspike.hw.counters.Counters`: ``busy`` (cycles in which an operand enters the
        array or pipeline), ``stalled`` (other cycles between start and done), ``idle`` (cycles
        outside), ``skipped`` (cycles that the dense schedule would have needed besides), ``lanes``
        (lanes that took part, summed over cycles), ``<port>s`` (accesses of a memory port).
    """

    def __init__(
        self,
        *,
        command: Any,
        ports: Mapping[str, Any],
        counts: Mapping[str, Any],
        parameters: Mapping[str, object],
        members: Mapping[str, Any] | None = None,
    ):
        self._ports = tuple(ports)
        self._events = {
            **dict.fromkeys(("busy", "stalled", "idle"), 1),
            **counts,
            **{f"{port}s": 1 for port in ports},
        }
        super().__init__(
            {
                "start": In(1),
                "command": In(command),
                "running": Out(1),
                "done": Out(1),
                "overflow": Out(1),
                "invalid": Out(1),
                "clear_counters": In(1),
                "counters": Out(CounterValues(self._events)),
                **ports,
                **(members or {}),
            },
            **parameters,
        )

    @property
    def memory_ports(self) -> tuple[str, ...]:
        """Names of the members that are memory ports."""
        return self._ports

    def sequence(self, m: Module, finished: Any) -> Signal:
        """Drives ``running`` and ``done``; ``finished`` says that nothing is left to be done.

        Returns the signal that is high in the cycle in which a start is accepted.
        """
        begins = Signal()
        m.d.comb += [
            begins.eq(self.start & ~self.running),
            self.done.eq(self.running & finished),
        ]
        with m.If(begins):
            m.d.sync += self.running.eq(1)
        with m.Elif(self.done):
            m.d.sync += self.running.eq(0)
        return begins

    def count(self, m: Module, *, entering: Any, **amounts: Any) -> None:
        """Adds the counters; ``amounts`` are those of ``counts`` in this cycle."""
        m.submodules.counters = counters = Counters(**self._events)
        m.d.comb += [
            counters.clear.eq(self.clear_counters),
            counters.events.busy.eq(self.running & entering),
            counters.events.stalled.eq(self.running & ~entering),
            counters.events.idle.eq(~self.running),
            *(counters.events[name].eq(amount) for name, amount in amounts.items()),
            self.counters.eq(counters.values),
        ]
        for name in self._ports:
            port = getattr(self, name)
            m.d.comb += counters.events[f"{name}s"].eq(port.en & port.ready)
