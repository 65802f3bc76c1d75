"""The FP engine: spikes select weights, an exact tree adds them up (forward propagation)."""
