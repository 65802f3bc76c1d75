"""What FP and BP convolutions share: the command, the walk over windows, weights and psums."""
