"""The clients that do the works: this package, and what its users would write or install instead."""
