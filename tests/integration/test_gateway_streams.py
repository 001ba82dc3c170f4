"""Streams through the gateway: unbuffered, let go when the reader leaves, ended on SIGTERM."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.testing.servers import Servers
from tests.integration.gateway_stack import GatewayStack, gateway_stack

DEADLINE_S = 60.0
CHECK_S = 0.2
TRIES = 5
HINT = {"audience": "party:P1", "topic": "bank.events", "partition": 3, "offset": 77, "type": "t"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[GatewayStack]:
    """A test that ends the gateway starts it again."""
    folder: Path = tmp_path_factory.mktemp("streams")
    with gateway_stack(folder, servers.redis) as running:
        yield running


def open_streams(stack: GatewayStack) -> int:
    return int(httpx.get(f"{stack.upstream}/open", trust_env=False).json())


def wait_for_open_streams(stack: GatewayStack, wanted: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while open_streams(stack) != wanted:
        assert time.monotonic() < deadline, f"{open_streams(stack)} streams open"
        time.sleep(0.02)


def test_hint_arrives_at_once_and_a_reader_who_leaves_is_let_go(stack: GatewayStack) -> None:
    with stack.signed_in() as browser:
        with browser.stream("GET", f"{stack.gateway}/notify/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": hello"
            assert stream.headers["content-type"].startswith("text/event-stream")
            wait_for_open_streams(stack, 1)
            waits = []
            for _ in range(TRIES):  # another process may have the machine for a moment
                started = time.monotonic()
                httpx.post(f"{stack.upstream}/hint", json=HINT, trust_env=False)
                assert any(line.startswith("data: ") for line in lines)
                waits.append(time.monotonic() - started)
            assert min(waits) < 1.0, waits
        wait_for_open_streams(stack, 0)


def test_reader_whose_socket_dies_is_let_go(stack: GatewayStack) -> None:
    with stack.signed_in() as browser:
        host, port = stack.gateway.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as reader:
            cookie = browser.cookies["guanxi_session"]
            request = (
                f"GET /notify/stream HTTP/1.1\r\nHost: {host}:{port}\r\n"
                f"Cookie: guanxi_session={cookie}\r\nAccept: text/event-stream\r\n\r\n"
            )
            reader.sendall(request.encode())
            wait_for_open_streams(stack, 1)
        wait_for_open_streams(stack, 0)


def test_sigterm_says_bye_to_streams_and_stops_soon(stack: GatewayStack) -> None:
    read: list[str] = []
    with stack.signed_in() as browser:

        def follow() -> None:
            with browser.stream("GET", f"{stack.gateway}/notify/stream") as stream:
                read.extend(stream.iter_lines())

        reader = threading.Thread(target=follow)
        reader.start()
        wait_for_open_streams(stack, 1)
        child = stack.children["gateway"]
        started = time.monotonic()
        child.send_signal(signal.SIGTERM)
        reader.join(timeout=DEADLINE_S)
        assert not reader.is_alive()
        child.wait(timeout=DEADLINE_S)
        assert time.monotonic() - started < 4.0
    assert "event: bye" in read
    wait_for_open_streams(stack, 0)
    stack.start_gateway()


def test_stream_ends_after_its_time_and_session_is_asked_anew(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.stop_gateway()
    with monkeypatch.context() as short:
        short.setitem(stack.environment, "GUANXI_STREAM_MAX_S", "0.5")
        stack.start_gateway()
    with stack.signed_in() as browser:
        with browser.stream("GET", f"{stack.gateway}/notify/stream") as stream:
            lines = list(stream.iter_lines())
        assert lines[0] == ": hello"
        browser.post(f"{stack.gateway}/sign-out", headers=stack.own(browser))
        answer = browser.get(
            f"{stack.gateway}/notify/stream", headers={"accept": "text/event-stream"}
        )
        assert answer.status_code == 401
        wait_for_open_streams(stack, 0)
    stack.stop_gateway()
    stack.start_gateway()


def test_a_stream_ends_when_its_session_is_lost_and_not_before(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.stop_gateway()
    with monkeypatch.context() as short:
        short.setitem(stack.environment, "GUANXI_SESSION_CHECK_S", str(CHECK_S))
        stack.start_gateway()
    with stack.signed_in() as browser, stack.signed_in("S002") as other:
        with browser.stream("GET", f"{stack.gateway}/notify/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": hello"
            wait_for_open_streams(stack, 1)
            other.post(f"{stack.gateway}/sign-out", headers=stack.own(other))
            time.sleep(5 * CHECK_S)
            assert open_streams(stack) == 1  # another's end is not ours
            stack.lose_sessions()
            assert "event: bye" in list(lines)
        asked = browser.get(f"{stack.gateway}/notify/count", headers={"accept": "*/*"})
        assert asked.status_code == 401
        wait_for_open_streams(stack, 0)
    stack.stop_gateway()
    stack.start_gateway()


def test_many_streams_do_not_starve_requests(stack: GatewayStack) -> None:
    with stack.signed_in() as browser:
        cookie = {"cookie": f"guanxi_session={browser.cookies['guanxi_session']}"}
        limits = httpx.Limits(max_connections=400)
        with httpx.Client(trust_env=False, limits=limits, headers=cookie) as many:
            streams = [
                many.send(many.build_request("GET", f"{stack.gateway}/notify/stream"), stream=True)
                for _ in range(150)
            ]
            wait_for_open_streams(stack, 150)
            assert browser.get(f"{stack.gateway}/customer/echo").status_code == 200
            for stream in streams:
                stream.close()
        wait_for_open_streams(stack, 0)
