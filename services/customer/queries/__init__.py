"""What the pages and the API read. Each takes a read-only session."""
