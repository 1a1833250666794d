"""Carries out what the planner decides: iterators, snapshots, watches of one account."""
