"""Benches of whole engines at full size: cycles, accesses, speed, and every bit compared."""
