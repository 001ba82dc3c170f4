"""What the query side decides. Pure: arguments in, decision out."""
