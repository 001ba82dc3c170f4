"""The authorization code flow with PKCE: out to the issuer and back with a code, once."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.concurrency import run_in_threadpool

from deploy.gateway.sessions import Session, SessionStore, SignIn, digest
from deploy.gateway.settings import GatewaySettings
from shared.auth import Claims, TokenVerifier, Unauthorized, code_challenge_of
from shared.web.translations import CHINESE, normal_language

DISCOVERY_AGE_MAX_S = 600.0
PATH_CHARS_MAX = 1024


class SignInFailed(Exception):
    """The way back does not prove anything. `reason` is for logs."""


class IssuerAway(Exception):
    """The issuer does not answer."""


@dataclass(frozen=True)
class Endpoints:
    authorization: str
    token: str


class SignInFlow:
    """Sign-ins at one issuer."""

    def __init__(self, settings: GatewaySettings, store: SessionStore) -> None:
        self._settings = settings
        self._store = store
        self._access = TokenVerifier(settings)
        self._identity = TokenVerifier(settings, audience=settings.gateway_client_id)
        self._client = httpx.AsyncClient(timeout=5.0, trust_env=False)
        self._endpoints: Endpoints | None = None
        self._found_at = 0.0

    async def close(self) -> None:
        await self._client.aclose()

    async def begin(self, browser: str, next_path: str, language: str | None) -> str:
        """The issuer's address to send the browser to. `browser`: the secret in its cookie."""
        endpoints = await self._discover()
        code_verifier = secrets.token_urlsafe(48)
        nonce = secrets.token_urlsafe(24)
        state = await self._store.begin(
            SignIn(digest(browser), nonce, code_verifier, safe_path(next_path))
        )
        asked = {
            "response_type": "code",
            "client_id": self._settings.gateway_client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": code_challenge_of(code_verifier),
            "code_challenge_method": "S256",
        }
        if language:
            asked["ui_locales"] = language
        return f"{endpoints.authorization}?{urlencode(asked)}"

    async def finish(self, browser: str, answer: Mapping[str, str]) -> tuple[Session, str]:
        """The session and where to go on. Raises SignInFailed or IssuerAway."""
        started = await self._store.finish(answer.get("state", ""))
        if started is None:
            raise SignInFailed("unknown, used or old state")
        if not browser or not secrets.compare_digest(started.browser, digest(browser)):
            raise SignInFailed("begun in another browser")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise SignInFailed("answered by another issuer")
        if "error" in answer or not answer.get("code"):
            raise SignInFailed(f"the issuer said {answer.get('error', 'no code')[:80]}")
        tokens = await self._redeem(answer["code"], started.code_verifier)
        access, claims = await self._judged(tokens, started.nonce)
        session = Session(
            token=access,
            csrf=secrets.token_urlsafe(24),
            staff_id=claims.subject,
            name=claims.name,
            language=normal_language(claims.language) or CHINESE,
            expires_at=min(claims.expires_at, time.time() + self._settings.session_ttl_s),
        )
        return session, started.next_path

    async def _judged(self, tokens: Mapping[str, Any], nonce: str) -> tuple[str, Claims]:
        access, identity = str(tokens.get("access_token")), str(tokens.get("id_token"))
        try:
            claims = await run_in_threadpool(self._access.verify, access)
            person = await run_in_threadpool(self._identity.verify, identity)
        except Unauthorized as error:
            raise SignInFailed(f"token: {error.reason}") from error
        if person.nonce is None or not secrets.compare_digest(person.nonce, nonce):
            raise SignInFailed("another sign-in's nonce")
        if person.subject != claims.subject or claims.kind != "staff":
            raise SignInFailed("not the same member of staff in both tokens")
        return access, claims

    async def _redeem(self, code: str, code_verifier: str) -> Mapping[str, Any]:
        endpoints = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri,
            "client_id": self._settings.gateway_client_id,
            "code_verifier": code_verifier,
        }
        if self._settings.gateway_client_secret is not None:
            form["client_secret"] = self._settings.gateway_client_secret.get_secret_value()
        try:
            answer = await self._client.post(endpoints.token, data=form)
            read = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise IssuerAway(str(error)) from error
        if answer.status_code >= 500:
            raise IssuerAway(f"the issuer said {answer.status_code}")
        if answer.status_code != 200 or not isinstance(read, dict):
            raise SignInFailed(f"the issuer refused the code: {str(read)[:80]}")
        return read

    async def _discover(self) -> Endpoints:
        if self._endpoints is not None and time.monotonic() - self._found_at < DISCOVERY_AGE_MAX_S:
            return self._endpoints
        issuer = self._settings.issuer
        try:
            answer = await self._client.get(
                f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            )
            answer.raise_for_status()
            read = answer.json()
            if read["issuer"] != issuer:
                raise IssuerAway("the discovery document is not of this issuer")
            found = Endpoints(str(read["authorization_endpoint"]), str(read["token_endpoint"]))
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise IssuerAway(str(error)) from error
        self._endpoints, self._found_at = found, time.monotonic()
        return found


def safe_path(path: str) -> str:
    """A path of ours, or the start page: never another site."""
    harmless = (
        path.startswith("/")
        and not path.startswith(("//", "/\\", "/sign-"))
        and "\\" not in path
        and path.isprintable()
        and len(path) <= PATH_CHARS_MAX
    )
    return path if harmless else "/"
