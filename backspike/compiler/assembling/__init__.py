"""Programs: built, written to files, printed."""
