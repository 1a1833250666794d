"""One page over the wire: the request, its attempts, and what a response means."""
