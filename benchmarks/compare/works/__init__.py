"""The works: for each a function that measures it and yields the rows of its comparisons."""
