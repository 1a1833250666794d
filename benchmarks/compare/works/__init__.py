"""What is compared: one function a work, which yields the rows of its comparisons."""
