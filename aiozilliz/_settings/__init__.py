"""The settings of a client: checks of arguments, and sources of keys."""
