"""What a listing is made of: clusters, snapshots, reports, and their JSON. Pure."""
