"""One training step of a network on one core.

If the weights fit the SRAMs, a batch goes through the layers in rounds of some samples: the BP
sub-core works on a round while the FP sub-core does the next. Gradients are summed up layer by
layer, as soon as there is du of the samples that are next, and the update comes behind them all.

>>> from backspike.hw.presets import load
>>> from backspike.compiler.planning.core import plan_step
>>> from backspike.training.data.digits import digits_network
>>> from backspike.training.settings import TrainingSettings
>>> config = load("paper")
>>> plan = plan_step(digits_network(config, TrainingSettings()), config, batch=32)
>>> plan.addresses.keys()
dict_keys([(0, 0)])

What comes out is a :class:`backspike.compiler.planning.step.StepPlan`.
"""

from backspike.compiler.planning.core.plan import cut_step, plan_step, samples_for

__all__ = ["cut_step", "plan_step", "samples_for"]
