"""Which headers pass, inward and outward, and the ones every answer carries."""

import re
import uuid
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Set by us or by nobody: a browser must not tell a service who or where it is.
IDENTITY = frozenset(
    {
        b"cookie",
        b"forwarded",
        b"host",
        b"x-real-ip",
        b"x-user",
        b"x-remote-user",
        b"x-correlation-id",
        b"x-csrf-token",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-http-method-override",
    }
)
IDENTITY_PREFIXES = (b"x-forwarded-", b"x-guanxi-", b"x-auth-", b"x-actor", b"x-ssl-")
FROM_SERVICE_DROPPED = frozenset({b"set-cookie", b"server", b"date"})
_CORRELATION = re.compile(r"[A-Za-z0-9._-]{8,64}")


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The first value, or an empty text."""
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def count(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> int:
    return sum(1 for key, _ in headers if key == name)


def correlation_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's own if it is harmless in a log, else a new one."""
    given = first(headers, b"x-correlation-id")
    return given if _CORRELATION.fullmatch(given) else uuid.uuid4().hex


def _named_by_connection(headers: Headers) -> set[bytes]:
    named = b",".join(value for key, value in headers if key == b"connection")
    return {name.strip().lower() for name in named.split(b",")}


def inward(headers: Headers, given: Mapping[str, str], *, own_authorization: bool) -> Headers:
    """What a service gets: the request's headers without ours to give, then ours."""
    dropped = HOP_BY_HOP | IDENTITY | _named_by_connection(headers) | {b"content-length"}
    if not own_authorization:
        dropped = dropped | {b"authorization"}
    passed = [
        (name, value)
        for name, value in headers
        if name not in dropped and not name.startswith(IDENTITY_PREFIXES)
    ]
    if not any(name == b"accept-encoding" for name, _ in passed):
        passed.append((b"accept-encoding", b"identity"))  # else the client library asks for gzip
    ours = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
    return [*passed, *ours]


def outward(headers: Headers) -> Headers:
    """What a browser gets of a service's headers."""
    dropped = HOP_BY_HOP | FROM_SERVICE_DROPPED | _named_by_connection(headers)
    return [(name.lower(), value) for name, value in headers if name.lower() not in dropped]


def security_headers(issuer: str, *, secure: bool) -> dict[bytes, bytes]:
    """On every answer. Scripts and styles only from our own files, nothing inline.

    The issuer is a form-action because browsers check it also on redirects: a search sent after
    the session ended goes on to the sign-in.
    """
    parts = urlsplit(issuer)
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; "
        f"form-action 'self' {parts.scheme}://{parts.netloc}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    headers = {
        b"content-security-policy": policy.encode(),
        b"x-content-type-options": b"nosniff",
        b"x-frame-options": b"DENY",
        b"referrer-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"cross-origin-resource-policy": b"same-origin",
        b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
    }
    if secure:
        headers[b"strict-transport-security"] = b"max-age=31536000"
    return headers
