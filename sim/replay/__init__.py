"""Replays a recorded training step of the model through the Verilated engines."""
