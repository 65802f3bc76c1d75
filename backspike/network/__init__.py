"""What a network is: its description, apart from whatever computes it."""

from backspike.network.network import Layer, Network

__all__ = ["Layer", "Network"]
