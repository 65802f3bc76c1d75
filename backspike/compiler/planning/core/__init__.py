"""One training step of a network on one core.

If the weights fit the SRAMs, a batch goes through the layers in rounds of some samples: the BP
sub-core works on a round while the FP sub-core does the next. Gradients are summed up layer by
layer, as soon as there is du of the samples that are next, and the update comes behind them all.

>>> from backspike.hw.presets import load
>>> from backspike.commands.train import TrainingSettings, digits_network
>>> from backspike.compiler.planning.core import plan_step
>>> config = load("paper")
>>> plan = plan_step(digits_network(config, TrainingSettings()), config, batch=32)
>>> sorted(plan.addresses)
['bp', 'fp']

``plan.image(...)`` is the DRAM to start from, ``plan.addresses`` is where the programs of the two
sub-cores lie in it, and ``plan.read(dram)`` is what they have left there.
"""

from backspike.compiler.planning.core.plan import (
    LayerResult,
    StepPlan,
    StepResult,
    plan_step,
    samples_for,
)

__all__ = ["LayerResult", "StepPlan", "StepResult", "plan_step", "samples_for"]
