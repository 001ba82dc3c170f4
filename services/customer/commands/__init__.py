"""What changes the customer view, by noun. Each takes the open transaction and writes."""
