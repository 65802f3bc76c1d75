"""From Amaranth to a running simulation: Verilator builds, benches and their drivers."""
