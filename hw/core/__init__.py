"""A computing core: two sub-cores that run programs, their memories, DRAM and the host."""
