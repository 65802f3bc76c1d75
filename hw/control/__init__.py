"""The controller of a sub-core: fetches a program, checks it, and starts the engines."""
