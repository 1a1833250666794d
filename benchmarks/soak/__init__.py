"""Many operations side by side in one process, with faults, cancellations and changes: `python -m benchmarks.soak`."""
