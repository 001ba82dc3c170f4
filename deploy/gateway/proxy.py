"""The way to a service and back: bounded request, unbuffered answer, no stream left behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import structlog
from starlette.types import Receive, Scope, Send

from deploy.gateway.headers import Headers, outward
from deploy.gateway.settings import GatewaySettings

log = structlog.get_logger()
BYE = b"event: bye\ndata: {}\n\n"
Stands = Callable[[], Awaitable[bool]]  # asked of a session while its stream is open


class BodyTooLarge(Exception):
    """More than the limit; the rest is not read."""


class BodyTooSlow(Exception):
    """The caller did not send its body in time."""


class CallerGone(Exception):
    """Nobody waits for the answer any more."""


class UpstreamDown(Exception):
    """The service gave no answer. `sent`: it may have worked on the request all the same."""

    def __init__(self, error: Exception, *, sent: bool) -> None:
        super().__init__(str(error))
        self.sent = sent


@dataclass(frozen=True)
class Forwarded:
    """A request as a service gets it."""

    service: str
    method: str
    target: bytes  # raw path and query, prefix stripped
    headers: Headers
    body: bytes


def _no_cookies() -> CookieJar:
    """One client carries everybody's requests: what it remembered of one would reach another."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


async def read_body(receive: Receive, bytes_max: int, timeout_s: float) -> bytes:
    """The whole body. Raises BodyTooLarge, BodyTooSlow or CallerGone."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise CallerGone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > bytes_max:
                    raise BodyTooLarge
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise BodyTooSlow from error


class Proxy:
    """Connections to all services. `closing` ends the streams first when we are told to stop."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._stream_max_s = settings.stream_max_s
        self._session_check_s = settings.session_check_s
        self.closing = asyncio.Event()
        timeout = httpx.Timeout(settings.read_timeout_s, connect=2.0, pool=5.0)
        limits = httpx.Limits(
            max_connections=2000, max_keepalive_connections=50, keepalive_expiry=3
        )
        certificates = httpx.create_ssl_context(trust_env=False)  # 20 ms to load: once for all
        self._clients = {
            name: httpx.AsyncClient(
                base_url=address,
                timeout=timeout,
                limits=limits,
                trust_env=False,
                verify=certificates,
                cookies=_no_cookies(),
            )
            for name, address in settings.upstreams.items()
        }

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def forward(
        self, asked: Forwarded, receive: Receive, send: Send, stands: Stands | None
    ) -> None:
        """Raises UpstreamDown before anything was sent to the caller, never after."""
        gone = asyncio.create_task(_gone(receive))
        try:
            response = await _first(self._answer(asked), gone)
            if response is None:
                return
            try:
                await self._pass_on(asked, response, gone, send, stands)
            finally:
                await response.aclose()  # also tells the service that its stream is not read
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _answer(self, asked: Forwarded) -> httpx.Response:
        client = self._clients[asked.service]
        url = client.base_url.copy_with(raw_path=asked.target)
        tries = 2 if asked.method in ("GET", "HEAD") else 1
        while True:
            tries -= 1
            request = client.build_request(
                asked.method, url, headers=asked.headers, content=asked.body
            )
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                raise UpstreamDown(error, sent=False) from error
            except httpx.TransportError as error:
                if not tries or isinstance(error, httpx.TimeoutException):
                    raise UpstreamDown(error, sent=True) from error

    async def _pass_on(
        self,
        asked: Forwarded,
        response: httpx.Response,
        gone: "asyncio.Task[None]",
        send: Send,
        stands: Stands | None,
    ) -> None:
        headers = outward(response.headers.raw)
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        if asked.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        streaming = response.headers.get("content-type", "").startswith("text/event-stream")
        end = bytearray()
        pump = asyncio.create_task(_pump(response, send, end))
        ends = self._ends(stands) if streaming else []
        try:
            limit_s = self._stream_max_s if streaming else None
            waiting: set[asyncio.Task[Any]] = {pump, gone, *ends}
            await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended, by_us = pump.done(), any(task.done() for task in ends)
            for task in (pump, *ends):
                task.cancel()
        results = await asyncio.gather(pump, *ends, return_exceptions=True)
        if gone.done():
            return
        if streaming:
            if isinstance(results[0], Exception):
                log.info("stream_ended_by_service", service=asked.service, error=str(results[0]))
            # Never in the middle of an event: the browser would take the torn one for whole.
            body = BYE if by_us and bytes(end) in (b"", b"\n\n") else b""
            await send({"type": "http.response.body", "body": body})
        elif ended and isinstance(results[0], Exception):
            log.warning("upstream_broke_off", service=asked.service, error=str(results[0]))
            raise results[0]  # the server closes the connection: a cut answer must look cut

    def _ends(self, stands: Stands | None) -> list["asyncio.Task[Any]"]:
        """What ends a stream from our side. Who comes back without a session learns it then."""
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(self.closing.wait())]
        if stands is not None:
            ends.append(asyncio.create_task(_fallen(stands, self._session_check_s)))
        return ends


async def _fallen(stands: Stands, every_s: float) -> None:
    """Until the session is no more: Redis was wiped, its token ended, or it was signed out."""
    while await stands():
        await asyncio.sleep(every_s)


async def _pump(response: httpx.Response, send: Send, end: bytearray) -> None:
    """Raw bytes, as they come: neither decoded nor gathered. `end`: the last two sent."""
    stream: AsyncIterator[bytes] = response.aiter_raw()
    streaming = response.headers.get("content-type", "").startswith("text/event-stream")
    async for chunk in stream:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        end[:] = (end + chunk)[-2:]
    if not streaming:
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(
    work: Coroutine[Any, Any, httpx.Response], gone: "asyncio.Task[None]"
) -> httpx.Response | None:
    """The answer, or None when the caller left first; then the request is given up."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done():
        return task.result()
    task.cancel()
    late = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(late, httpx.Response):
        await late.aclose()
    return None


def split_target(scope: Scope) -> tuple[str, bytes] | None:
    """First part of the path, and the rest as raw bytes with the query.

    None for a path that two readers could understand differently: dot parts, empty parts,
    encoded slashes, back-slashes, control characters.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if not raw.startswith(b"/") or b"\\" in raw or any(byte < 33 or byte > 126 for byte in raw):
        return None
    lowered = raw.lower()
    if any(bad in lowered for bad in (b"%2f", b"%5c", b"%00", b"%2e", b"//", b"%0a", b"%0d")):
        return None
    parts = raw[1:].split(b"/")
    if any(part in (b".", b"..") for part in parts):
        return None
    rest = b"/" + b"/".join(parts[1:])
    query: bytes = scope.get("query_string", b"")
    return parts[0].decode("ascii"), rest + (b"?" + query if query else b"")
