"""Whether BP reads what FP has left in DRAM only behind the message that tells of it."""

from __future__ import annotations

import numpy as np

from backspike.compiler.planning.context import FORWARD_DONE
from backspike.hw.isa.encoding import fetch
from backspike.hw.isa.table import SRAMS, UNITS, Control, IsaShape, instruction_set


def pipeline(config, name, program):
    """Mnemonics and operands of a program up to its first loop."""
    instructions = instruction_set(IsaShape.from_config(config), name)
    position = 0
    while position < len(program.words):
        found = fetch(program.words, position, instructions.values())
        if found.instruction.mnemonic == "LOOP":
            return
        yield found.instruction.mnemonic, found.operands
        position += found.instruction.words


def rows(config, name, operands):
    """The bytes of DRAM that each row of a transfer takes."""
    width = config.srams[f"{name}.{SRAMS[name][operands['sram']]}"].width // 8
    for row in range(operands["rows"]):
        first = operands["dram"] + row * operands["dram_row"]
        yield slice(first, first + operands["words"] * width)


def expect_told(config, image):
    """Checks the programs of a core; how many reads there are of what FP stores."""
    if "fp" not in image.programs:
        return 0
    # Of each byte, the message that tells of it: 1 for the first; 0 for what none tells of.
    told, signals, stored = np.zeros(image.size, int), 0, []
    for mnemonic, operands in pipeline(config, "fp", image.programs["fp"]):
        if mnemonic == "DMA_WR":
            stored += rows(config, "fp", operands)
        signal = {"flow_type": Control.SIGNAL.value, "msg_box": FORWARD_DONE}
        if mnemonic == "NOC_CTRL" and signal.items() <= operands.items():
            signals += 1
            for part in stored:
                told[part] = signals
            stored = []
    taken = reads = 0
    for mnemonic, operands in pipeline(config, "bp", image.programs["bp"]):
        if mnemonic == "BARRIER" and operands["boxes"] >> FORWARD_DONE & 1:
            assert operands["units"] == 1 << UNITS["bp"].index("read")
            taken += 1
        elif mnemonic == "DMA_RD":
            needed = max(told[part].max() for part in rows(config, "bp", operands))
            assert taken >= needed, f"message {needed} tells of {operands}, {taken} are taken"
            reads += needed > 0
    assert taken == signals
    return reads
