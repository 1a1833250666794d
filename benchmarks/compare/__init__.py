"""Ratios of this package to what its users would write instead, or to a limit."""
