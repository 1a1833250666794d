"""Which page is next, what is new, and whether it is complete. Pure."""
