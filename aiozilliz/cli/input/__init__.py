"""Options, filters, and the source of the clusters."""
