"""The WG engine: weight gradients, output-stationary, from spikes and gradients of potentials."""
