"""What pages and the API read of the query side."""
