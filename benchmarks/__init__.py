"""What is measured of this package: ratios to what its users would write instead, a soak, and a guard of its cost."""
