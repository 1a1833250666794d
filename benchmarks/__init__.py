"""Ratios between this package and what its users would write instead, measured in one run: `python -m benchmarks`."""
