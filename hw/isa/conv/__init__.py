"""FP_CONV and BP_CONV."""
