"""Who is calling: the check of a bearer token. One algorithm, one issuer, one audience.

What a caller may do is not decided here: staff permissions come from the staff directory
(`shared.policy`); only system clients carry theirs in the token.
"""

import hashlib
import json
import re
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHM = "ES256"
TOKEN_CHARS_MAX = 8192  # a longer token is refused before it is parsed
LEEWAY_S = 60
KEYS_AGE_MAX_S = 600.0  # keys are asked again after this; a withdrawn key is out by then
KEYS_STALE_MAX_S = 3600.0  # how long the last known keys serve while the issuer is away
KEYS_REFRESH_MIN_S = 10.0  # unknown key ids cannot make us hammer the issuer
KEYS_MAX = 32
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADERS_ALLOWED = frozenset({"alg", "kid", "typ", "x5t"})


class Unauthorized(Exception):
    """The token proves nothing. `reason` is for logs; a caller learns only that it is 401."""

    status = 401
    code = "unauthorized"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IssuerUnreachable(Exception):
    """No key can be had, so no token can be judged: 503, the world is down."""

    status = 503
    code = "issuer_unreachable"


class IssuerSettings(Protocol):
    """The part of the settings that a verifier needs."""

    @property
    def issuer(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def jwks_url(self) -> str | None: ...


@dataclass(frozen=True)
class Claims:
    """What a good token says. `expires_at` is a Unix time in seconds."""

    subject: str
    kind: str  # staff or system
    name: str
    language: str | None
    permissions: frozenset[str]  # of system clients; empty for staff
    expires_at: float
    nonce: str | None = None


class KeyCache:
    """The issuer's public keys, asked when needed. Safe between threads."""

    def __init__(
        self,
        fetch: Callable[[], Mapping[str, Any]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, ECKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def key(self, key_id: str) -> ECKey:
        """The key of this id. Raises Unauthorized if the issuer has none."""
        with self._lock:
            if key_id not in self._keys or self._age_s() > KEYS_AGE_MAX_S:
                self._refresh()
            if key_id in self._keys:
                return self._keys[key_id]
        raise Unauthorized("unknown key id")

    def _age_s(self) -> float:
        return float("inf") if self._fetched_at is None else self._monotonic() - self._fetched_at

    def _refresh(self) -> None:
        now = self._monotonic()
        if self._tried_at is not None and now - self._tried_at < KEYS_REFRESH_MIN_S:
            if self._fetched_at is None:
                raise IssuerUnreachable("no keys yet; asked a moment ago")
            return
        self._tried_at = now
        try:
            keys = _public_keys(self._fetch())
        except (httpx.HTTPError, ValueError, JoseError) as error:
            if self._age_s() > KEYS_STALE_MAX_S:
                self._keys = {}
                self._fetched_at = self._tried_at = None  # the next request may ask at once
                raise IssuerUnreachable(str(error)) from error
            return
        self._keys, self._fetched_at = keys, now


def _public_keys(document: Mapping[str, Any]) -> dict[str, ECKey]:
    """Only P-256 signature keys with an id: anything else can never verify a token here."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise ValueError("the key document has no list of keys")
    keys: dict[str, ECKey] = {}
    for entry in listed[:KEYS_MAX]:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("kty") != "EC" or entry.get("crv") != "P-256":
            continue
        if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM:
            continue
        public = {name: entry[name] for name in ("kty", "crv", "x", "y", "kid") if name in entry}
        keys[entry["kid"]] = ECKey.import_key(public)
    return keys


class TokenVerifier:
    """Checks bearer tokens of one issuer for one audience."""

    def __init__(
        self,
        settings: IssuerSettings,
        *,
        audience: str | None = None,
        keys: KeyCache | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = settings.issuer
        self._audience = audience or settings.audience
        self._jwks_url = settings.jwks_url
        self._keys = keys or KeyCache(self._fetch_keys)
        self._now = now

    def verify(self, token: str) -> Claims:
        """The claims of a good token. Raises Unauthorized or IssuerUnreachable."""
        if len(token) > TOKEN_CHARS_MAX or not _COMPACT.fullmatch(token):
            raise Unauthorized("not a token")
        header = _header(token)
        key = self._keys.key(header["kid"])
        try:
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError) as error:
            raise Unauthorized("bad signature") from error
        return self._judged(claims)

    def _judged(self, claims: dict[str, Any]) -> Claims:
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._now()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise Unauthorized(f"claims: {error}") from error
        permissions = claims.get("permissions", [])
        if not isinstance(permissions, list) or not all(isinstance(p, str) for p in permissions):
            raise Unauthorized("claims: permissions is not a list of texts")
        kind = claims.get("kind", "staff")
        if kind not in ("staff", "system") or not claims["sub"]:
            raise Unauthorized("claims: neither staff nor system")
        return Claims(
            subject=claims["sub"],
            kind=kind,
            name=_text(claims.get("name")) or claims["sub"],
            language=_text(claims.get("lang")),
            permissions=frozenset(permissions) if kind == "system" else frozenset(),
            expires_at=float(claims["exp"]),
            nonce=_text(claims.get("nonce")),
        )

    def _fetch_keys(self) -> Mapping[str, Any]:
        with httpx.Client(timeout=3.0, trust_env=False) as client:
            url = self._jwks_url or _discovered(client, self._issuer)
            return _document(client, url)


def code_challenge_of(code_verifier: str) -> str:
    """The S256 challenge of RFC 7636: what a sign-in shows before it can prove itself."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _header(token: str) -> dict[str, str]:
    """The header, checked before any key is asked for: a stranger must not choose how we check."""
    encoded = token.split(".", 1)[0]
    try:
        header = json.loads(_bytes_of_part(encoded))
    except (ValueError, RecursionError) as error:
        raise Unauthorized("unreadable header") from error
    if not isinstance(header, dict) or not header.keys() <= _HEADERS_ALLOWED:
        raise Unauthorized("a header field that could change the check")
    if header.get("alg") != ALGORITHM or not isinstance(header.get("kid"), str):
        raise Unauthorized("another algorithm, or no key id")
    return header


def _bytes_of_part(encoded: str) -> bytes:
    """The bytes behind one base64url part of a token. Raises ValueError."""
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _discovered(client: httpx.Client, issuer: str) -> str:
    document = _document(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != issuer or not isinstance(document.get("jwks_uri"), str):
        raise ValueError("the discovery document is not of this issuer")
    return str(document["jwks_uri"])


def _document(client: httpx.Client, url: str) -> Mapping[str, Any]:
    answer = client.get(url, headers={"accept": "application/json"})
    answer.raise_for_status()
    read = answer.json()
    if not isinstance(read, dict):
        raise ValueError(f"{url} is not a JSON object")
    return read
