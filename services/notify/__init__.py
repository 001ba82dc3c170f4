"""Notify: tells people at the moment it matters, and proves that it did.

Owns: notices, channels, preferences, delivery proof, the staff inbox, the only live stream.
Hears: notice.requests and all of our topics (its subscription rules say who is told of what).
Says: notice.deliveries.
"""
