"""Trains networks, on the chip and on its model."""
