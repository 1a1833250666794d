"""Files that the command line writes."""
