"""A chip: cores on a mesh, in two clock domains, with one host."""
