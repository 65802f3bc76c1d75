"""Memories and how engines reach them: ports, SRAM, buffered reads and writes, address loops."""
