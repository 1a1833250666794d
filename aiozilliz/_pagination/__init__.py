"""Which page is next, what is new, whether the listing is complete, and if not, why. Pure."""
