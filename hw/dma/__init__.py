"""Direct memory access: between the SRAMs of a sub-core and DRAM, over AXI4."""
