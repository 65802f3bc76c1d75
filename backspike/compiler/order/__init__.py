"""In what order instructions are decoded, and what they wait for."""
