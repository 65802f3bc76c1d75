"""Generator of chips that train spiking neural networks: what a user imports."""
