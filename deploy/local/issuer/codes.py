"""Sign-ins under way: requests that wait for a choice, and codes that wait to be redeemed."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

CODE_TTL_S = 60.0
REQUEST_TTL_S = 600.0
WAITING_MAX = 1000  # the oldest goes when more wait: nobody can fill the memory

Value = TypeVar("Value")


@dataclass(frozen=True)
class SignInRequest:
    """What the gateway asked for, checked."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str
    language: str


@dataclass(frozen=True)
class Grant:
    """What a code stands for."""

    request: SignInRequest
    staff_id: str


class OneTime(Generic[Value]):
    """Values behind unguessable tickets, each taken at most once and not after its time."""

    def __init__(self, ttl_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._waiting: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def put(self, value: Value) -> str:
        ticket = secrets.token_urlsafe(32)
        self._waiting[ticket] = (self._monotonic() + self._ttl_s, value)
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)
        return ticket

    def take(self, ticket: str) -> Value | None:
        until, value = self._waiting.pop(ticket, (0.0, None))
        return value if self._monotonic() < until else None
