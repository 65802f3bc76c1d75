"""One training step of a network on many cores, as a pipeline.

>>> from backspike.hw.presets import load
>>> from backspike.compiler.planning.mesh import plan_mesh
>>> from backspike.training.data.digits import digits_network
>>> from backspike.training.settings import TrainingSettings
>>> config = load("vcu128")
>>> plan = plan_mesh(digits_network(config, TrainingSettings()), config, batch=32)
>>> plan.places
[(1, 0), (0, 0), (1, 0)]

What comes out is a :class:`backspike.compiler.planning.step.StepPlan`.
"""

from backspike.compiler.planning.mesh.places import balanced, snake
from backspike.compiler.planning.mesh.plan import plan_mesh

__all__ = ["balanced", "plan_mesh", "snake"]
