"""What lies where in SRAMs and DRAM."""
