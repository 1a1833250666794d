"""Many accounts, read concurrently over one connection pool."""
