"""Many accounts, read side by side over one pool of connections."""
