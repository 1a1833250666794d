"""Ratios between this package and what its users would write instead, or a limit: works, peers, stand, server, report."""
