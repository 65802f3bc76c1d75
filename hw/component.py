"""The base class of every Backspike component: emitted once as Verilog, instantiated many times."""

from __future__ import annotations

import functools
import hashlib
import re
from types import EllipsisType
from typing import Any, Generic, NoReturn, TypeVar

from amaranth.lib import wiring

__all__ = ["EmitOnce", "Parameter"]

NAME_LENGTH = 100
"""Characters of the longest module name."""

Value = TypeVar("Value")


class Parameter(Generic[Value]):
    """How a component reads one of its parameters: ``_width = Parameter[int]()`` in its class.

    ``self._width`` then is what :class:`EmitOnce` was given as ``width``. It is stored there alone,
    and cannot be assigned.

    Parameters
    ----------
    default : Value
        What is read from a component that was made without this parameter.

    Raises
    ------
    KeyError
        If the component was made without this parameter, and there is no default.
    """

    def __init__(self, default: Value | EllipsisType = ...):
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.removeprefix("_")

    def __get__(self, component: EmitOnce, owner: type) -> Value:
        value: Any = component._parameters.get(self._name, self._default)
        if value is ...:
            raise KeyError(f"{owner.__name__} is made without a parameter {self._name}")
        return value

    def __set__(self, component: EmitOnce, value: object) -> NoReturn:
        raise AttributeError(f"{self._name} is a parameter: it is given when a component is made")


class EmitOnce(wiring.Component):
    """A component that becomes one Verilog module however often it is instantiated.

    Amaranth emits every submodule *instance* as a module of its own. A subclass of this class
    elaborates as usual in Amaranth's simulator; under a platform that can make instances
    (:class:`backspike.hw.emit.Emitter`) each child is replaced by an ``Instance`` of the module
    that the child is emitted as, once.

    Two components with the same class and parameters are the same module, so whatever makes one
    instance differ from another (an id, a coordinate) is an input port, never a parameter.

    Parameters
    ----------
    signature : dict or wiring.Signature
        The ports, as for :class:`amaranth.lib.wiring.Component`.
    **parameters
        All that the contents depend on; hashable values whose ``str`` is part of a name.
    """

    def __init__(self, signature, **parameters):
        self._parameters = parameters
        super().__init__(signature)

    @property
    def parameters(self) -> dict[str, Any]:
        """What, with the class, decides the contents of the module."""
        return dict(self._parameters)

    @property
    def module_name(self) -> str:
        """Name of the Verilog module: class and parameters in snake case, e.g. ``sram_depth8``.

        A name too long for file systems and tools keeps its beginning, and a hash of it all.
        """
        words = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()]
        words += [f"{key}{value}" for key, value in self._parameters.items()]
        name = re.sub(r"\W", "m", "_".join(words))
        if len(name) <= NAME_LENGTH:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:10]
        return f"{name[: NAME_LENGTH - 1 - len(digest)]}_{digest}"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "elaborate" not in cls.__dict__:
            return
        elaborate = cls.elaborate

        @functools.wraps(elaborate)
        def elaborate_or_instance(self, platform):
            make = getattr(platform, "instance", None)
            instance = make(self) if make is not None else None
            return elaborate(self, platform) if instance is None else instance

        cls.elaborate = elaborate_or_instance
