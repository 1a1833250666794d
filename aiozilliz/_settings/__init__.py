"""What a client is set up with: checked arguments, and where keys come from."""
