"""What becomes Verilog: arithmetic, memories, arrays, pipelines and engines, in Amaranth."""
