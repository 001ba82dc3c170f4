"""Settings of orders: those that every service has; none of its own."""

from shared.settings import Settings

__all__ = ["Settings"]
