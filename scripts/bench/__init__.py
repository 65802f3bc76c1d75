"""Measures the figures of ``docs/figures.md``: ``make bench``, or ``python -m scripts.bench``."""
