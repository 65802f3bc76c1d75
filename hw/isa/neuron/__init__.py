"""FP_SOMA, BP_GRAD, vector operations and WU."""
