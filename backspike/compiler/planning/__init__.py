"""From a network to the programs of a training step."""
