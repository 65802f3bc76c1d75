"""Formal proofs about hardware, by Yosys and z3."""
