"""Who is signed in, and sign-ins under way. In Redis, which may vanish: people sign in again."""

import hashlib
import secrets
import time

import msgspec
from redis.asyncio import Redis

SIGN_IN_TTL_S = 600


class Session(msgspec.Struct, frozen=True):
    """One signed-in browser. The token never leaves the server."""

    token: str
    csrf: str
    staff_id: str
    name: str
    language: str
    expires_at: float


class SignIn(msgspec.Struct, frozen=True):
    """What is kept between sending a browser to the issuer and its return."""

    browser: str  # hash of the secret in the browser's cookie
    nonce: str
    code_verifier: str
    next_path: str


class SessionStore:
    """Keys are hashes of the ids: who reads Redis cannot take over a session."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def open(self, session: Session) -> str:
        """Stores the session until its token ends; returns the new id."""
        session_id = secrets.token_urlsafe(32)
        ttl_s = int(session.expires_at - time.time())
        if ttl_s <= 0:
            raise ValueError("the token has ended already")
        await self._redis.set(_key("session", session_id), msgspec.json.encode(session), ex=ttl_s)
        return session_id

    async def find(self, session_id: str) -> Session | None:
        if not _plausible(session_id):
            return None
        stored = await self._redis.get(_key("session", session_id))
        if stored is None:
            return None
        session = msgspec.json.decode(stored, type=Session)
        return session if session.expires_at > time.time() else None

    async def close(self, session_id: str) -> None:
        if _plausible(session_id):
            await self._redis.delete(_key("session", session_id))

    async def begin(self, sign_in: SignIn) -> str:
        """Stores a sign-in under way; returns its state."""
        state = secrets.token_urlsafe(32)
        stored = msgspec.json.encode(sign_in)
        await self._redis.set(_key("sign-in", state), stored, ex=SIGN_IN_TTL_S)
        return state

    async def finish(self, state: str) -> SignIn | None:
        """The sign-in of this state, once."""
        if not _plausible(state):
            return None
        stored = await self._redis.getdel(_key("sign-in", state))
        return msgspec.json.decode(stored, type=SignIn) if stored is not None else None

    async def ping(self) -> None:
        await self._redis.ping()


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(kind: str, secret: str) -> str:
    return f"guanxi:{kind}:{digest(secret)}"


def _plausible(value: str) -> bool:
    return 20 <= len(value) <= 128 and value.isascii()
