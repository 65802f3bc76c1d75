"""The instruction-level model: what each engine's command does to the SRAMs of a core, bit for bit.

A command is the mapping of field names to values that the engine's command struct has; fields that
are left out are 0. Only its fields say what is read and written, as in the hardware: addresses and
strides of 16 bits, which wrap, and no geometry of any layer.

    memories     Memories(config): the SRAMs of a core
    convolve     run_fp  run_bp       backspike.hw.isa.conv.command.ConvCommand
    gradients    run_wg               backspike.hw.isa.wg.command.WgCommand
    element      run_soma  run_grad   backspike.hw.isa.neuron.command.SomaCommand, GradCommand
    update       run_update           backspike.hw.isa.neuron.command.UpdateCommand

Every function takes (command, memories, config, status), and adds to the sticky statuses.
"""

from backspike.sim.model.machine.convolve import run_bp, run_fp
from backspike.sim.model.machine.element import run_grad, run_soma
from backspike.sim.model.machine.gradients import run_wg
from backspike.sim.model.machine.memories import Difference, Memories
from backspike.sim.model.machine.update import run_update

__all__ = [
    "Difference",
    "Memories",
    "run_bp",
    "run_fp",
    "run_grad",
    "run_soma",
    "run_update",
    "run_wg",
]
