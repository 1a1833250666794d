"""What a command shows: formats, tables, changes, progress."""
