"""Element-wise pipelines: soma, grad, the vector operations in both, and the weight update."""
