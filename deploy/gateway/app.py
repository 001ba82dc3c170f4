"""The gateway as an ASGI application: who may pass, and with what."""

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlencode

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from deploy.gateway.answers import Answers
from deploy.gateway.headers import correlation_id_of, count, first, inward, security_headers
from deploy.gateway.proxy import (
    BodyTooLarge,
    BodyTooSlow,
    CallerGone,
    Forwarded,
    Proxy,
    UpstreamDown,
    read_body,
    split_target,
)
from deploy.gateway.sessions import Session, SessionStore
from deploy.gateway.settings import GatewaySettings
from deploy.gateway.sign_in import IssuerAway, SignInFailed, SignInFlow, safe_path
from shared.web.assets import assets_app
from shared.web.pages import Pages
from shared.web.translations import LANGUAGES, N_

log = structlog.get_logger()
SAFE = frozenset({"GET", "HEAD"})
METHODS = SAFE | {"POST", "PUT", "PATCH", "DELETE"}
# A service's own faces: for probes and Prometheus, never through the front door.
INSIDE_ONLY = (b"/health", b"/metrics", b"/docs", b"/openapi")
LANGUAGE_AGE_S = 365 * 24 * 3600


@dataclass(frozen=True)
class Caller:
    """Who sent a request: a signed-in browser, or a program with its own token."""

    session: Session | None
    own_authorization: bool


class Gateway:
    """One process of it. Sessions are in Redis, so any number can run side by side."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.redis = Redis.from_url(settings.redis, socket_timeout=2.0, socket_connect_timeout=2.0)
        self.store = SessionStore(self.redis)
        self.flow = SignInFlow(settings, self.store)
        self.proxy = Proxy(settings)
        self.answers = Answers(
            Pages([Path(__file__).parent / "templates"], zone=settings.zone), settings
        )
        self._headers = security_headers(settings.issuer, secure=settings.secure)
        self._inner = Starlette(
            routes=[
                Route("/", self._start),
                Route("/health/live", self._live),
                Route("/health/ready", self._ready),
                Route("/sign-in", self._sign_in),
                Route("/sign-in/callback", self._callback),
                Route("/sign-out", self._sign_out, methods=["POST"]),
                Route("/signed-out", self._signed_out),
                Route("/language", self._language),
                Mount("/assets", assets_app),
            ],
            exception_handlers={HTTPException: self._http_error},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        await self.proxy.close()
        await self.flow.close()
        await self.redis.aclose()

    # --- every request ----------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._inner(scope, receive, send)
                return
            raise RuntimeError(f"no {scope['type']} here")
        scope["correlation_id"] = correlation_id_of(scope["headers"])
        dressed = self._dressed(scope, send)
        try:
            response = await self._answered(scope, receive, dressed)
        except RedisError as error:
            log.warning("sessions_unreachable", error=str(error))
            message = N_("Sign-ins cannot be checked at the moment.")
            response = self.answers.error(Request(scope), 503, message, retry_s=3)
        if response is not None:
            await response(scope, receive, dressed)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """A response to send, or None when one was sent already."""
        request = Request(scope, receive)
        path: str = scope["path"]
        if path in ("/health/live", "/health/ready"):  # probes come by address, not by name
            await self._inner(scope, receive, send)
            return None
        refused = self._wrong_host(request)
        if refused is not None:
            return refused
        if request.method not in METHODS:
            return self.answers.error(request, 405, N_("This method is not allowed here."))
        target = split_target(scope)
        if target is None:
            return self.answers.error(request, 400)
        service, rest = target
        if service in self.settings.upstreams:
            return await self._to_service(request, service, rest, send)
        await self._inner(scope, receive, send)
        return None

    def _dressed(self, scope: Scope, send: Send) -> Send:
        """Adds to every answer the security headers, the correlation id and a cache rule."""
        correlation_id: str = scope["correlation_id"]

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {**self._headers, b"x-correlation-id": correlation_id.encode()}
                headers = [(n, v) for n, v in message.get("headers", []) if n not in ours]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*headers, *ours.items()]}
            await send(message)

        return dressed

    def _wrong_host(self, request: Request) -> Response | None:
        """One origin: a typed alias is sent on to it, a foreign name gets nothing (rebinding)."""
        headers = request.scope["headers"]
        host = first(headers, b"host").lower()
        if count(headers, b"host") == 1 and host == self.settings.host:
            return None
        if host in self.settings.host_aliases and request.method in SAFE:
            query = f"?{request.url.query}" if request.url.query else ""
            there = self.settings.public_url.rstrip("/") + safe_path(request.scope["path"]) + query
            return RedirectResponse(there, 307)
        log.info("foreign_host", host=host[:100])
        return Response("unknown host\n", 421, media_type="text/plain")

    # --- to a service -----------------------------------------------------------------------

    async def _to_service(
        self, request: Request, service: str, target: bytes, send: Send
    ) -> Response | None:
        if unquote_to_bytes(target).startswith(INSIDE_ONLY):  # as the service will read it
            return self.answers.error(request, 404)
        caller = await self._caller(request)
        if caller is None:
            return self._sign_in_first(request)
        if caller.session is not None:
            request.scope["session_language"] = caller.session.language
            refused = self._cross_site(request, caller.session)
            if refused is not None:
                return refused
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.settings.body_bytes_max:
            return self.answers.error(request, 413)
        return await self._pass(request, service, target, caller, send)

    async def _pass(
        self, request: Request, service: str, target: bytes, caller: Caller, send: Send
    ) -> Response | None:
        try:
            body = await read_body(
                request.receive, self.settings.body_bytes_max, self.settings.body_timeout_s
            )
            headers = inward(
                request.scope["headers"],
                self._given(request, service, caller),
                own_authorization=caller.own_authorization,
            )
            asked = Forwarded(service, request.method, target, headers, body)
            stands = partial(self._stands, request) if caller.session is not None else None
            await self.proxy.forward(asked, request.receive, send, stands)
        except CallerGone:
            return None
        except BodyTooLarge:
            return self.answers.error(request, 413)
        except BodyTooSlow:
            return self.answers.error(request, 408, N_("The request did not arrive in time."))
        except UpstreamDown as error:
            log.warning("upstream_down", service=service, error=str(error))
            return self._down(request, error)
        return None

    def _given(self, request: Request, service: str, caller: Caller) -> dict[str, str]:
        given = {
            "x-correlation-id": request.scope["correlation_id"],
            "x-forwarded-prefix": f"/{service}",
        }
        if caller.session is not None:
            given["authorization"] = f"Bearer {caller.session.token}"
            given["x-guanxi-language"] = self.answers.language(request)
        return given

    def _down(self, request: Request, error: UpstreamDown) -> Response:
        if request.method in SAFE:
            return self.answers.error(request, 502, retry_s=3)
        message = N_("Nothing was saved: the request did not arrive.")
        if error.sent:
            message = N_("It is not known whether this was saved. Look before you repeat it.")
        return self.answers.error(request, 502, message)

    async def _caller(self, request: Request) -> Caller | None:
        if "authorization" in request.headers:
            return Caller(session=None, own_authorization=True)
        session = await self._session(request)
        return Caller(session, own_authorization=False) if session is not None else None

    async def _session(self, request: Request) -> Session | None:
        session_id = request.cookies.get(self.settings.cookie("session"))
        return await self.store.find(session_id) if session_id else None

    async def _stands(self, request: Request) -> bool:
        """Is the session of an open stream still there? While Redis is away nobody knows: it
        stands, and the next look tells."""
        try:
            return await self._session(request) is not None
        except RedisError as error:
            log.warning("sessions_unreachable", error=str(error))
            return True

    def _sign_in_first(self, request: Request) -> Response:
        """A page view goes to the sign-in and comes back; anything else learns that it is 401."""
        if request.method in SAFE and self.answers.wants_page(request):
            query = f"?{request.url.query}" if request.url.query else ""
            there = urlencode({"next": safe_path(request.scope["path"] + query)})
            return RedirectResponse(f"/sign-in?{there}", 303)
        return self.answers.error(request, 401)

    def _cross_site(self, request: Request, session: Session) -> Response | None:
        """Refuses what another site made the browser send with our cookie."""
        site = request.headers.get("sec-fetch-site")
        if request.method in SAFE:
            navigating = request.headers.get("sec-fetch-mode", "navigate") == "navigate"
            if site in ("cross-site", "same-site") and not navigating:
                return self._forged(request, "subresource of another site")
            return None
        origin = request.headers.get("origin")
        ours = origin == self.settings.origin if origin is not None else site == "same-origin"
        if not ours or site in ("cross-site", "same-site"):
            return self._forged(request, "another origin")
        given = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(given.encode(), session.csrf.encode()):
            return self._forged(request, "no or another token")
        return None

    def _forged(self, request: Request, why: str) -> Response:
        log.warning("forged_request", why=why, path=request.scope["path"])
        return self.answers.error(
            request, 403, N_("This request did not come from a page of Guanxi. Load it again.")
        )

    # --- our own pages ----------------------------------------------------------------------

    async def _start(self, _: Request) -> Response:
        return RedirectResponse("/workflow/desk", 303)

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, _: Request) -> Response:
        try:
            await self.store.ping()
        except RedisError:
            return JSONResponse({"ready": False, "why": "redis"}, 503)
        return JSONResponse({"ready": not self.proxy.closing.is_set()})

    async def _sign_in(self, request: Request) -> Response:
        name = self.settings.cookie("sign_in")
        browser = request.cookies.get(name, "")
        if len(browser) < 20:
            browser = secrets.token_urlsafe(32)
        asked = self.answers.chosen_language(request)
        try:
            there = await self.flow.begin(browser, request.query_params.get("next", "/"), asked)
        except IssuerAway as error:
            return self._issuer_away(request, error)
        response = RedirectResponse(there, 303)
        response.set_cookie(
            name, browser, max_age=600, httponly=True, samesite="lax", secure=self.settings.secure
        )
        return response

    async def _callback(self, request: Request) -> Response:
        browser = request.cookies.get(self.settings.cookie("sign_in"), "")
        try:
            session, next_path = await self.flow.finish(browser, request.query_params)
        except SignInFailed as error:
            log.info("sign_in_failed", reason=str(error))
            return self.answers.page(request, "sign_in_failed.html", 400)
        except IssuerAway as error:
            return self._issuer_away(request, error)
        old = request.cookies.get(self.settings.cookie("session"))
        if old:
            await self.store.close(old)
        session_id = await self.store.open(session)
        log.info("signed_in", staff_id=session.staff_id)
        response = RedirectResponse(next_path, 303)
        secure = self.settings.secure
        response.set_cookie(
            self.settings.cookie("session"),
            session_id,
            httponly=True,
            samesite="lax",
            secure=secure,
        )
        response.set_cookie(
            self.settings.cookie("csrf"), session.csrf, samesite="strict", secure=secure
        )
        return response

    def _issuer_away(self, request: Request, error: IssuerAway) -> Response:
        log.warning("issuer_away", error=str(error))
        return self.answers.error(request, 503, N_("Sign-in is not answering."), retry_s=3)

    async def _sign_out(self, request: Request) -> Response:
        session = await self._session(request)
        if session is not None:
            refused = self._cross_site(request, session)
            if refused is not None:
                return refused
            await self.store.close(request.cookies[self.settings.cookie("session")])
            log.info("signed_out", staff_id=session.staff_id)
        response: Response = RedirectResponse("/signed-out", 303)
        if "hx-request" in request.headers:
            response = Response(status_code=204, headers={"hx-redirect": "/signed-out"})
        for name in ("session", "csrf"):
            response.delete_cookie(self.settings.cookie(name), secure=self.settings.secure)
        response.headers["clear-site-data"] = '"storage"'
        return response

    async def _signed_out(self, request: Request) -> Response:
        return self.answers.page(request, "signed_out.html")

    async def _language(self, request: Request) -> Response:
        response = RedirectResponse(safe_path(request.query_params.get("next", "/")), 303)
        asked = request.query_params.get("to")
        if asked in LANGUAGES:
            response.set_cookie(
                "guanxi_language",
                asked,
                max_age=LANGUAGE_AGE_S,
                samesite="lax",
                secure=self.settings.secure,
            )
        return response

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self.answers.error(request, status)
