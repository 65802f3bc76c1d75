"""The BP engine: gradients times weights, added up exactly (backward propagation)."""
