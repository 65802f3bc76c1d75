"""What stands for the hardware: the bit-exact numpy model and the harness that runs the Verilog."""
