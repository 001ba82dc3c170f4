"""Settings of the customer service beyond the shared ones: its keys of personal data."""

from functools import lru_cache

from services.customer.rules.personal import Keyring
from shared.settings import Settings


@lru_cache(maxsize=1)
def keyring() -> Keyring:
    """One per process; handlers and pages use the same."""
    return Keyring(Settings(service="customer").personal_key.get_secret_value())
