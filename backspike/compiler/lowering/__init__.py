"""From layers to operands of instructions, and from arrays to words of memories."""
