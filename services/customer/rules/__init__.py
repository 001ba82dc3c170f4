"""Decisions of the customer service: pure, arguments in, answer out."""
