"""The endpoints: discovery, keys, the page that picks a person, the token."""

import base64
import binascii
import hmac
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.local.issuer.codes import CODE_TTL_S, REQUEST_TTL_S, Grant, OneTime, SignInRequest
from deploy.local.issuer.keys import SigningKey, client_secret
from deploy.local.issuer.settings import IssuerSettings, StaffMember, read_staff
from shared.auth import code_challenge_of
from shared.web.assets import assets_app
from shared.web.pages import Pages
from shared.web.translations import N_, language_of, normal_language

BODY_BYTES_MAX = 65536
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_TEXT_CHARS_MAX = 512
BANK_PERMISSIONS = ["bank_events.publish"]


class Issuer:
    """One issuer: its key, its clients, the sign-ins under way."""

    def __init__(self, settings: IssuerSettings) -> None:
        self.settings = settings
        self.key = SigningKey(settings.issuer_folder)
        self.requests: OneTime[SignInRequest] = OneTime(REQUEST_TTL_S)
        self.codes: OneTime[Grant] = OneTime(CODE_TTL_S)
        self._pages = Pages([Path(__file__).parent / "templates"])
        self._bank_secret = client_secret(
            settings.issuer_folder, settings.bank_client_id, settings.bank_client_secret
        )

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/jwks.json", self.keys),
                Route("/authorize", self.authorize, methods=["GET"]),
                Route("/authorize", self.choose, methods=["POST"]),
                Route("/token", self.token, methods=["POST"]),
                Route("/health/live", self.live),
                Mount("/assets", assets_app),
            ],
            middleware=[Middleware(HostGuard, hosts=self.settings.hosts)],
        )

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def discovery(self, _: Request) -> Response:
        issuer = self.settings.issuer
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks.json",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "subject_types_supported": ["public"],
                "scopes_supported": ["openid", "profile"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    "none",
                    "client_secret_post",
                    "client_secret_basic",
                ],
                "claims_supported": ["sub", "name", "kind", "lang", "permissions"],
            }
        )

    async def keys(self, _: Request) -> Response:
        return JSONResponse(self.key.public_keys())

    # --- the page ---------------------------------------------------------------------------

    async def authorize(self, request: Request) -> Response:
        """Shows who can be picked. A request that names another way back is never redirected."""
        asked = request.query_params
        language = normal_language(asked.get("ui_locales")) or language_of(
            request.headers.get("accept-language")
        )
        if (
            asked.get("client_id") != self.settings.gateway_client_id
            or asked.get("redirect_uri") != self.settings.redirect_uri
        ):
            return self._refusal(request, language, N_("This sign-in does not come from Guanxi."))
        wrong = _wrong(dict(asked))
        if wrong is not None:
            back = {"error": wrong, "state": asked.get("state", "")[:_TEXT_CHARS_MAX]}
            return RedirectResponse(f"{self.settings.redirect_uri}?{urlencode(back)}", 303)
        ticket = self.requests.put(
            SignInRequest(
                client_id=asked["client_id"],
                redirect_uri=asked["redirect_uri"],
                state=asked["state"],
                nonce=asked["nonce"],
                code_challenge=asked["code_challenge"],
                language=language,
            )
        )
        other = "en" if language == "zh-CN" else "zh-CN"
        switch = urlencode({**asked, "ui_locales": other})
        staff = await run_in_threadpool(read_staff, self.settings.staff_file)
        body = self._pages.render(
            "authorize.html",
            request=request,
            language=language,
            staff=staff,
            ticket=ticket,
            other=other,
            switch=f"/authorize?{switch}",
        )
        return self._page(body)

    async def choose(self, request: Request) -> Response:
        """The choice becomes a code. Only our own page can send it, and only once."""
        language = language_of(request.headers.get("accept-language"))
        if request.headers.get("origin") != self.settings.issuer:
            return self._refusal(request, language, N_("This choice was not made on our page."))
        form = await _form(request)
        waiting = self.requests.take(str(form.get("ticket", "")))
        if waiting is None:
            return self._refusal(
                request, language, N_("This sign-in is over. Start again from Guanxi.")
            )
        member = await self._member(str(form.get("staff_id", "")))
        if member is None:
            return self._refusal(request, waiting.language, N_("There is no such staff member."))
        code = self.codes.put(Grant(waiting, member.staff_id))
        back = urlencode({"code": code, "state": waiting.state, "iss": self.settings.issuer})
        return RedirectResponse(f"{waiting.redirect_uri}?{back}", 303)

    async def _member(self, staff_id: str) -> StaffMember | None:
        staff = await run_in_threadpool(read_staff, self.settings.staff_file)
        return next((member for member in staff if member.staff_id == staff_id), None)

    def _refusal(self, request: Request, language: str, message: str) -> Response:
        body = self._pages.render_error(
            status=400, correlation_id="", message=message, request=request, language=language
        )
        return self._page(body, 400)

    def _page(self, body: str, status: int = 200) -> Response:
        # Browsers check form-action also on the redirect that answers the form.
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.settings.redirect_uri))
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
            f"img-src 'self' data:; form-action 'self' {origin}; frame-ancestors 'none'; "
            "base-uri 'none'"
        )
        headers = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "same-origin",
            "cache-control": "no-store",
        }
        return HTMLResponse(body, status, headers)

    # --- the token --------------------------------------------------------------------------

    async def token(self, request: Request) -> Response:
        form = await _form(request)
        client_id, secret = _client(request, form)
        grant_type = form.get("grant_type")
        if grant_type == "authorization_code":
            return await self._redeem(form, client_id)
        if grant_type == "client_credentials":
            return self._system_token(client_id, secret)
        return _oauth_error("unsupported_grant_type")

    async def _redeem(self, form: FormData, client_id: str) -> Response:
        """The code is taken before anything is checked: a wrong try burns it as well."""
        grant = self.codes.take(str(form.get("code", "")))
        if grant is None or client_id != grant.request.client_id:
            return _oauth_error("invalid_grant")
        if form.get("redirect_uri") != grant.request.redirect_uri:
            return _oauth_error("invalid_grant")
        verifier = str(form.get("code_verifier", ""))
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
            code_challenge_of(verifier), grant.request.code_challenge
        ):
            return _oauth_error("invalid_grant")
        member = await self._member(grant.staff_id)
        if member is None:
            return _oauth_error("invalid_grant")
        who = {
            "sub": member.staff_id,
            "name": member.name,
            "kind": "staff",
            "lang": member.language,
        }
        id_token = self._signed(who | {"nonce": grant.request.nonce}, audience=client_id)
        return self._answer(self._signed(who), id_token=id_token, scope="openid profile")

    def _system_token(self, client_id: str, secret: str) -> Response:
        known = client_id == self.settings.bank_client_id
        if not hmac.compare_digest(secret.encode(), self._bank_secret.encode()) or not known:
            return _oauth_error("invalid_client", 401)
        claims = {
            "sub": client_id,
            "name": client_id,
            "kind": "system",
            "permissions": BANK_PERMISSIONS,
        }
        return self._answer(self._signed(claims))

    def _signed(self, claims: dict[str, Any], audience: str | None = None) -> str:
        return self.key.sign(
            claims,
            issuer=self.settings.issuer,
            audience=audience or self.settings.audience,
            ttl_s=self.settings.token_ttl_s,
        )

    def _answer(self, access_token: str, **more: str) -> Response:
        content = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self.settings.token_ttl_s,
            **more,
        }
        return JSONResponse(content, headers={"cache-control": "no-store"})


def _wrong(asked: dict[str, str]) -> str | None:
    """The OAuth error code of an authorization request, or None."""
    if asked.get("response_type") != "code":
        return "unsupported_response_type"
    if "openid" not in asked.get("scope", "").split():
        return "invalid_scope"
    if asked.get("code_challenge_method") != "S256":
        return "invalid_request"
    if not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        return "invalid_request"
    for name in ("state", "nonce"):
        if not 0 < len(asked.get(name, "")) <= _TEXT_CHARS_MAX:
            return "invalid_request"
    return None


def _client(request: Request, form: FormData) -> tuple[str, str]:
    """Client id and secret, from the form or from basic authentication."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return str(form.get("client_id", "")), str(form.get("client_secret", ""))
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote(name), unquote(secret)


async def _form(request: Request) -> FormData:
    if int(request.headers.get("content-length") or BODY_BYTES_MAX + 1) > BODY_BYTES_MAX:
        return FormData()  # too long, or of unknown length: as if nothing had been sent
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return FormData()
    return await request.form(max_fields=20)


def _oauth_error(code: str, status: int = 400) -> Response:
    return JSONResponse({"error": code}, status, {"cache-control": "no-store"})


class HostGuard:
    """Answers our own names only: a foreign name that resolves to loopback gets nothing."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = [value for name, value in scope["headers"] if name == b"host"]
            if len(given) != 1 or given[0].decode("latin-1").lower() not in self._hosts:
                await Response("unknown host\n", 421, media_type="text/plain")(scope, receive, send)
                return
        await self._app(scope, receive, send)


__all__ = ["HostGuard", "Issuer"]
