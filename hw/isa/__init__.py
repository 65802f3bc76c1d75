"""The instruction set: what programs are made of, and the commands that units get."""
