"""One training step of a network on many cores, as a pipeline.

>>> from backspike.hw.presets import load
>>> from backspike.commands.train import TrainingSettings, digits_network
>>> from backspike.compiler.planning.mesh import plan_mesh
>>> config = load("vcu128")
>>> plan = plan_mesh(digits_network(config, TrainingSettings()), config, batch=32)
>>> plan.places
[(1, 0), (0, 0), (1, 0)]

``plan.drams(...)`` is the DRAM of each core to start from, ``plan.addresses`` is where the programs
of its sub-cores lie in it, ``plan.connections`` is what the host sets in their tables, and
``plan.read(drams)`` is what they have left there.
"""

from backspike.compiler.planning.mesh.places import balanced, snake
from backspike.compiler.planning.mesh.plan import MeshPlan, plan_mesh

__all__ = ["MeshPlan", "balanced", "plan_mesh", "snake"]
