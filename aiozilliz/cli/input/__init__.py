"""What a command is told: options, filters, and where the clusters come from."""
