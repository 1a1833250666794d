"""One page over the wire: the request, its attempts, and what an answer means."""
