"""Data between the SRAMs of the chip."""
