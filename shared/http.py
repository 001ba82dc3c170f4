"""The HTTP face of a service: its routes, errors, correlation, and who may call what.

Deny by default: a route without `requires(...)` stops the process at start.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.routing import RouteContext, iter_route_contexts
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException as StarletteHTTPException

from shared import failpoints, positions
from shared.auth import IssuerUnreachable, Unauthorized
from shared.clock import Clock
from shared.db import Database, Tx, is_world_down
from shared.errors import DomainError, Invalid, NotAllowed, PermissionMissing
from shared.health import PUBLIC, health_router
from shared.metrics import REQUESTS
from shared.open_work import Desk, desk_of
from shared.policy import Actor, Decision, Scope, decide
from shared.reach import Reach, reach
from shared.runtime import Runtime
from shared.settings import Settings
from shared.web.translations import language_of

log = structlog.get_logger()

STALE_WAIT_S = 2.0
Problems = Sequence[dict[str, str]]
POSITION = re.compile(r"([\w.-]{1,249}):(\d{1,6}):(\d{1,18})", re.ASCII)


@dataclass
class Context:
    """One request: the actor, his transaction, his page."""

    runtime: Runtime
    request: Request
    actor: Actor
    correlation_id: str

    @property
    def settings(self) -> Settings:
        return self.runtime.settings

    @property
    def clock(self) -> Clock:
        return self.runtime.clock

    @property
    def redis(self) -> Any:
        return self.runtime.redis

    @property
    def database(self) -> Database:
        return self.runtime.database

    def transaction(self) -> Any:
        """A context manager of `Tx`: state and outbox rows commit together at its end."""
        return self.runtime.database.transaction(
            actor_id=self.actor.id, correlation_id=self.correlation_id
        )

    def read(self) -> Any:
        """A context manager of a read-only session: all that is read in it is of one moment."""
        return self.runtime.database.read()

    def reach(self, permission: str) -> Reach:
        """Whose customers the actor may see with this permission."""
        return reach(self.runtime.directory, self.actor, permission)

    def desk(self) -> Desk:
        """Whose tasks the actor does today: an open task opens its subject."""
        return desk_of(self.runtime.directory, self.actor, self.clock.bank_now())

    def check(
        self,
        permission: str,
        *,
        org_path: str | None = None,
        owner_id: str | None = None,
        amount_minor: int | None = None,
    ) -> None:
        """Raises NotAllowed unless the actor may do this on this record."""
        decision: Decision = decide(
            self.actor, permission, org_path=org_path, owner_id=owner_id, amount_minor=amount_minor
        )
        if not decision.allowed:
            raise NotAllowed(decision.reason)

    def page(self, template: str, /, status: int = 200, **values: Any) -> HTMLResponse:
        """A page or fragment in the actor's language."""
        body = self.runtime.pages.render(
            template,
            request=self.request, actor=self.actor, correlation_id=self.correlation_id,
            bank_now=self.clock.bank_now(), bank_factor=self.clock.factor,
            settings=self.settings, **values,
        )  # fmt: skip
        return HTMLResponse(body, status_code=status)

    def stale(self, at: str | None) -> bool:
        """Waits up to 2 s until the service has applied `topic:partition:offset`.

        The owner of a topic is never behind it. True: not yet there, the page must ask again.
        Raises Invalid when `at` is not a position.
        """
        if not at:
            return False
        position = POSITION.fullmatch(at)
        if position is None:
            raise Invalid("at")
        topic, partition, offset = position.groups()
        deadline = time.monotonic() + STALE_WAIT_S
        while True:
            with self.read() as session:
                stored = positions.stored(session, topic).get(int(partition))
            if stored is None or stored > int(offset):
                return False
            if time.monotonic() > deadline:
                return True
            time.sleep(0.05)


class _Requires:
    """The dependency behind `requires`; `create_app` looks for it on every route."""

    def __init__(self, permission: str) -> None:
        self.permission = permission

    def __call__(self, request: Request) -> Context:
        runtime: Runtime = request.app.state.runtime
        actor = authenticate(runtime, request)
        if self.permission not in actor.permissions:
            raise PermissionMissing(self.permission)
        return Context(runtime, request, actor, request.scope.get("correlation_id", ""))


def requires(permission: str) -> Any:
    """`ctx: Annotated[Context, requires("order.approve")]`: no token 401, no permission 403."""
    return Depends(_Requires(permission))


def authenticate(runtime: Runtime, request: Request) -> Actor:
    """The bearer of the token as this service's directory knows him."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("no bearer token")
    claims = runtime.verifier.verify(token)
    if claims.kind == "system":
        scopes = tuple(Scope(p, "all") for p in claims.permissions)
        return Actor(
            claims.subject, "system", claims.name, claims.permissions, scopes, language="en"
        )
    actor = runtime.directory.actor(claims.subject, runtime.clock.bank_now())
    if actor is None:
        raise Unauthorized("not in the staff directory")
    wanted = request.cookies.get("guanxi_language") or request.headers.get("x-guanxi-language")
    if wanted in ("zh-CN", "en") and wanted != actor.language:
        actor = replace(actor, language=wanted)
    return actor


# The app -------------------------------------------------------------------------------------


def create_app(runtime: Runtime) -> FastAPI:
    """All routes of a service with the shared ones; refuses a route that anyone could call."""
    app = FastAPI(
        title=f"Guanxi {runtime.service.name}",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.runtime = runtime
    from shared import ops
    from shared.openapi import openapi_of

    app.openapi = partial(openapi_of, app)  # type: ignore[method-assign]
    for router in (*runtime.service.routers, ops.router, health_router(runtime)):
        app.include_router(router)
    _refuse_open_routes(app)
    _install_errors(app, runtime)
    app.add_middleware(_Correlation)
    return app


def permission_of(route: RouteContext) -> str | None:
    """The permission a route asks for; none: anyone could call it."""
    dependant = getattr(route, "dependant", None)  # a mounted app has none
    return _find(dependant) if dependant is not None else None


def _find(dependant: Dependant) -> str | None:
    if isinstance(dependant.call, _Requires):
        return dependant.call.permission
    for inner in dependant.dependencies:
        found = _find(inner)
        if found:
            return found
    return None


def routes_of(app: FastAPI) -> list[RouteContext]:
    """Every route that a request can reach: FastAPI keeps those of an included router inside it."""
    return list(iter_route_contexts(app.routes))


def _refuse_open_routes(app: FastAPI) -> None:
    routes = routes_of(app)
    open_routes = {r.path for r in routes if permission_of(r) is None} - PUBLIC
    if open_routes:
        raise RuntimeError(f"routes without a permission: {sorted(map(str, open_routes))}")
    missing = PUBLIC - {r.path for r in routes}
    if missing:  # then the walk above sees less than a request can reach
        raise RuntimeError(f"routes not found among all: {sorted(missing)}")


# Errors --------------------------------------------------------------------------------------


def _answer(
    runtime: Runtime,
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    errors: Problems = (),
    fields: Problems = (),
) -> Response:
    """`message` is a msgid, or already in the reader's language."""
    correlation_id = request.scope.get("correlation_id", "")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    if "text/html" in request.headers.get("accept", ""):
        body = runtime.pages.render_error(
            status=status, code=code, message=message, correlation_id=correlation_id,
            request=request,
        )  # fmt: skip
        return HTMLResponse(body, status_code=status, headers=headers)
    texts = runtime.pages.texts(_language_of(request))
    content = {"code": code, "message": texts.gettext(message), "correlation_id": correlation_id}
    if errors:
        content |= {"errors": errors, "fields": fields or errors}
    return JSONResponse(
        content, status_code=status, headers=headers, media_type="application/problem+json"
    )


def _install_errors(app: FastAPI, runtime: Runtime) -> None:
    answer = partial(_answer, runtime)

    @app.exception_handler(DomainError)
    def refused(request: Request, error: DomainError) -> Response:
        language = _language_of(request)
        message = error.text(language)
        errors = _problems_of(error, language)
        first = [{"field": one["field"]} for one in errors[:1]]
        return answer(request, error.status, error.code, message, errors=errors, fields=first)

    @app.exception_handler(Unauthorized)
    def unauthorized(request: Request, error: Unauthorized) -> Response:
        log.info("unauthorized", reason=error.reason, path=request.url.path)
        return answer(request, 401, "unauthorized", "Sign in again.")

    @app.exception_handler(IssuerUnreachable)
    def unreachable(request: Request, error: IssuerUnreachable) -> Response:
        return answer(request, 503, "issuer_unreachable", "Sign-in is not available. Try again.")

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [
            {"field": ".".join(str(p) for p in e["loc"][1:]), "reason": e["msg"]}
            for e in error.errors()
        ]
        return answer(request, 422, "invalid", "Some fields are not valid.", errors=errors)

    @app.exception_handler(DataError)
    def unstorable(request: Request, error: DataError) -> Response:
        """A NUL in a text, a number beyond bigint: the caller's value, not a failure of ours."""
        log.warning("value_unstorable", path=request.url.path, error=str(error.orig)[:200])
        return answer(request, 422, "invalid", "Some fields are not valid.")

    @app.exception_handler(StarletteHTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        return answer(request, error.status_code, f"http_{error.status_code}", str(error.detail))

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        if is_world_down(error):
            log.warning("world_down", error=str(error)[:300])
            response = answer(
                request, 503, "try_again", "A part is not available. Nothing was saved. Try again."
            )
            response.headers["Retry-After"] = "2"
            return response
        log.exception("request_failed", path=request.url.path)
        return answer(request, 500, "failed", "The request failed. Nothing was saved.")


def _problems_of(error: DomainError, language: str) -> Problems:
    if not isinstance(error, Invalid):
        return ()
    return [{"field": name, "reason": why} for name, why in error.reasons(language).items()]


def _language_of(request: Request) -> str:
    headers = request.headers
    return language_of(headers.get("x-guanxi-language") or headers.get("accept-language"))


Scope_ = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Correlation:
    """Pure ASGI: the correlation id in logs and in the answer, the duration in the metrics."""

    def __init__(self, app: Callable[[Scope_, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope_, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-correlation-id", b"").decode("latin-1")
        correlation_id = given if 0 < len(given) <= 64 and given.isprintable() else uuid.uuid4().hex
        scope["correlation_id"] = correlation_id
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)
        started, status = time.perf_counter(), 500

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if scope["method"] not in ("GET", "HEAD"):
                    failpoints.reach("api.before_answer")
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-correlation-id", correlation_id.encode("latin-1")),
                ]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUESTS.labels(route, str(status)).observe(time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("correlation_id")


__all__ = ["Annotated", "Context", "Tx", "create_app", "permission_of", "requires", "routes_of"]
