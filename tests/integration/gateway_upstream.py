"""A service behind the gateway that says what it was asked, streams, and dies when told.

Run: python tests/integration/gateway_upstream.py PORT
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shared.policy import Actor
from shared.settings import Settings
from shared.web.menu import MENU
from shared.web.pages import Pages

PAGES = Pages([Path(__file__).parent / "gateway_pages" / "templates"])
OPEN_STREAMS: set[object] = set()
HINTS: list[dict[str, object]] = []
READER = Actor(id="S001", name="王芳", permissions=frozenset(entry.permission for entry in MENU))


async def echo(request: Request) -> Response:
    body = await request.body()
    told = {
        "method": request.method,
        "target": request.scope["raw_path"].decode() + "?" + request.url.query,
        "headers": [[n.decode(), v.decode("latin-1")] for n, v in request.headers.raw],
        "body_bytes": len(body),
    }
    headers = {"set-cookie": "stolen=1", "server": "echo", "x-frame-options": "ALLOWALL"}
    return JSONResponse(told, headers=headers)


async def stream(request: Request) -> Response:
    """Sends what was put into /hint as events, and a ping now and then."""
    mark = object()

    async def events() -> AsyncIterator[str]:
        OPEN_STREAMS.add(mark)
        sent = len(HINTS)
        try:
            yield ": hello\n\n"
            while True:
                for number, hint in enumerate(HINTS[sent:], start=sent + 1):
                    name = "event: ping\n" if "bank_now" in hint else ""
                    yield f"id: {number}\n{name}data: {json.dumps(hint)}\n\n"
                sent = len(HINTS)
                await asyncio.sleep(0.05)
        finally:
            OPEN_STREAMS.discard(mark)

    return StreamingResponse(events(), media_type="text/event-stream")


async def hint(request: Request) -> Response:
    HINTS.append(await request.json())
    return Response(status_code=202)


async def open_streams(_: Request) -> Response:
    return JSONResponse(len(OPEN_STREAMS))


async def die(_: Request) -> Response:
    """Half an answer, then nothing: the process's socket is closed under it."""

    async def half() -> AsyncIterator[bytes]:
        yield b"x" * 100
        await asyncio.sleep(0.1)
        raise ConnectionAbortedError

    return StreamingResponse(half(), headers={"content-length": "200"})


async def page(request: Request) -> Response:
    body = PAGES.render(
        request.path_params["name"] + ".html",
        request=request,
        actor=READER,
        bank_now=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
        settings=Settings(service="customer"),
        correlation_id="11112222333344445555666677778888",
        language=request.headers.get("x-guanxi-language"),
        query=request.url.query,
        hints=len(HINTS),
    )
    return HTMLResponse(body)


async def labels(request: Request) -> Response:
    ids = request.query_params["ids"].split(",")
    return JSONResponse({one: f"名称 {one.split(':')[-1]}" for one in ids})


async def refuse(_: Request) -> Response:
    problem = {"code": "order_not_waiting", "message": "订单已被他人处理"}
    return JSONResponse(
        problem | {"correlation_id": "abc12345"}, 409, media_type="application/problem+json"
    )


async def process_id(_: Request) -> Response:
    return JSONResponse(os.getpid())


every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
app = Starlette(
    routes=[
        Route("/echo", echo, methods=every),
        Route("/echo/{rest:path}", echo, methods=every),
        Route("/stream", stream),
        Route("/hint", hint, methods=["POST"]),
        Route("/open", open_streams),
        Route("/die", die),
        Route("/pid", process_id),
        Route("/page/{name}", page),
        Route("/labels", labels),
        Route("/refuse", refuse, methods=["POST"]),
        Route("/count", lambda _: HTMLResponse('<span class="badge bg-red text-red-fg">3</span>')),
        Route("/metrics", lambda _: Response("secret_metric 1\n")),
        Route("/desk", lambda _: HTMLResponse("<h1>desk</h1>")),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
