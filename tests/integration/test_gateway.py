"""The front door: what passes to a service and what does not, on a real gateway and issuer."""

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from shared.testing.servers import Servers
from tests.integration.gateway_stack import GatewayStack, gateway_stack

OUR_HEADERS = {
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "x-correlation-id",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[GatewayStack]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with gateway_stack(folder, servers.redis) as running:
        yield running


@pytest.fixture
def browser(stack: GatewayStack) -> Iterator[httpx.Client]:
    with stack.signed_in() as signed_in:
        yield signed_in


def told(answer: httpx.Response) -> dict[str, list[str]]:
    """The headers that the service got, by name."""
    assert answer.status_code == 200, answer.text
    headers: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        headers.setdefault(name, []).append(value)
    return headers


# --- what a service sees ----------------------------------------------------------------------


def test_service_sees_a_bearer_token_and_no_cookie(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    headers = told(browser.get(f"{stack.gateway}/customer/echo"))
    assert headers["authorization"][0].startswith("Bearer ey")
    assert "cookie" not in headers
    assert headers["x-forwarded-prefix"] == ["/customer"]
    assert headers["x-guanxi-language"] == ["zh-CN"]


def test_prefix_is_stripped_and_the_rest_is_kept_byte_by_byte(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    answer = browser.get(f"{stack.gateway}/orders/echo/%E5%BC%A0/ORD-1?q=a%20b&q=%26")
    assert answer.json()["target"] == "/echo/%E5%BC%A0/ORD-1?q=a%20b&q=%26"


def test_nobody_can_say_who_he_is_by_header(stack: GatewayStack, browser: httpx.Client) -> None:
    forged = {
        "x-forwarded-user": "S999",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-prefix": "/evil",
        "x-guanxi-language": "xx",
        "x-guanxi-actor": "S999",
        "x-remote-user": "S999",
        "x-real-ip": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
        "x-actor-id": "S999",
        "x-http-method-override": "DELETE",
        "connection": "x-hidden, close",
        "x-hidden": "1",
        "te": "trailers",
    }
    headers = told(browser.get(f"{stack.gateway}/customer/echo", headers=forged))
    assert headers["x-forwarded-prefix"] == ["/customer"]
    assert headers["x-guanxi-language"] == ["zh-CN"]
    ours = {"x-forwarded-prefix", "x-guanxi-language", "connection"}
    assert not (set(forged) - ours) & set(headers)
    assert "x-hidden" not in headers["connection"][0]


def test_own_authorization_passes_and_the_cookie_is_dropped(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    headers = told(
        browser.post(f"{stack.gateway}/customer/echo", headers={"authorization": "Bearer mine"})
    )
    assert headers["authorization"] == ["Bearer mine"]
    assert "cookie" not in headers


def test_correlation_id_is_kept_if_harmless_and_made_if_not(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    url = f"{stack.gateway}/customer/echo"
    mine = browser.get(url, headers={"x-correlation-id": "story-0001"})
    assert mine.headers["x-correlation-id"] == "story-0001"
    assert told(mine)["x-correlation-id"] == ["story-0001"]
    made = browser.get(url, headers={"x-correlation-id": "a b<script>"})
    assert len(made.headers["x-correlation-id"]) == 32


def test_every_answer_carries_our_headers_and_none_of_the_services_cookies(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    for path in ("/customer/echo", "/scoring/x", "/nowhere", "/assets/guanxi.js", "/sign-in"):
        answer = browser.get(stack.gateway + path)
        assert set(answer.headers) >= OUR_HEADERS, path
        assert answer.headers["x-frame-options"] == "DENY"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "stolen" not in answer.headers.get("set-cookie", "")


def test_faces_for_probes_stay_inside(stack: GatewayStack, browser: httpx.Client) -> None:
    assert browser.get(f"{stack.gateway}/customer/metrics").status_code == 404
    token = {"authorization": "Bearer x"}
    assert browser.get(f"{stack.gateway}/customer/metrics", headers=token).status_code == 404
    assert browser.get(f"{stack.gateway}/customer/health/live").status_code == 404
    for spelling in ("%6detrics", "%2e/metrics", "x/../metrics", "%68ealth/ready"):
        raw = HTTPConnection(urlsplit(stack.gateway).netloc)  # sends a path as it is given
        raw.request("GET", f"/customer/{spelling}", headers=token)
        assert raw.getresponse().status in (400, 404), spelling
        raw.close()


# --- who may pass -----------------------------------------------------------------------------


def test_page_view_of_a_stranger_goes_to_the_sign_in_and_comes_back(stack: GatewayStack) -> None:
    with stack.browser() as stranger:
        sent = stranger.get(f"{stack.gateway}/customer/page/sample?tab=work")
        assert sent.status_code == 303
        assert sent.headers["location"] == "/sign-in?next=%2Fcustomer%2Fpage%2Fsample%3Ftab%3Dwork"
        back = stranger.get(stack.code_for(stranger, "S001", "/customer/page/sample?tab=work"))
        assert back.headers["location"] == "/customer/page/sample?tab=work"


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "application/json"},
        {"accept": "text/event-stream"},
        {"accept": "text/html", "hx-request": "true"},
        {"cookie": "guanxi_session=" + "a" * 43},
    ],
    ids=str,
)
def test_program_without_a_session_learns_that_it_is_401(
    stack: GatewayStack, headers: dict[str, str]
) -> None:
    given = {"accept": "application/json"} | headers
    answer = httpx.get(f"{stack.gateway}/customer/echo", headers=given, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]


def test_unsafe_request_of_our_own_page_passes(stack: GatewayStack, browser: httpx.Client) -> None:
    answer = browser.post(
        f"{stack.gateway}/customer/echo", json={"a": 1}, headers=stack.own(browser)
    )
    assert answer.json()["body_bytes"] == 7
    without_origin = stack.own(browser) | {"sec-fetch-site": "same-origin"}
    del without_origin["origin"]
    assert browser.put(f"{stack.gateway}/customer/echo", headers=without_origin).status_code == 200


FORGED: dict[str, dict[str, str | None]] = {
    "nothing at all": {"origin": None, "x-csrf-token": None},
    "other site": {"origin": "http://evil.test"},
    "other port": {"origin": "http://127.0.0.1:1"},
    "same name, other scheme": {"origin": "https://127.0.0.1"},
    "sandboxed frame": {"origin": "null"},
    "no origin": {"origin": None},
    "no origin, cross-site": {"origin": None, "sec-fetch-site": "cross-site"},
    "no origin, same-site": {"origin": None, "sec-fetch-site": "same-site"},
    "our origin, cross-site": {"sec-fetch-site": "cross-site"},
    "no token": {"x-csrf-token": None},
    "empty token": {"x-csrf-token": ""},
    "other token": {"x-csrf-token": "a" * 32},
    "token of the cookie that he set himself": {
        "x-csrf-token": "chosen",
        "cookie": "guanxi_csrf=chosen",
    },
}


@pytest.mark.parametrize("changed", FORGED.values(), ids=FORGED.keys())
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_forged_request_is_refused(
    stack: GatewayStack, browser: httpx.Client, method: str, changed: dict[str, str | None]
) -> None:
    headers: dict[str, str | None] = {**stack.own(browser), **changed}
    if "cookie" in headers:
        session = browser.cookies["guanxi_session"]
        headers["cookie"] = f"guanxi_session={session}; {headers['cookie']}"
    sent = {name: value for name, value in headers.items() if value is not None}
    answer = browser.request(method, f"{stack.gateway}/customer/echo", headers=sent)
    assert answer.status_code == 403


def test_token_of_another_session_is_refused(stack: GatewayStack, browser: httpx.Client) -> None:
    with stack.signed_in("S002") as other:
        answer = browser.post(f"{stack.gateway}/customer/echo", headers=stack.own(other))
    assert answer.status_code == 403


def test_other_site_cannot_read_by_subresource(stack: GatewayStack, browser: httpx.Client) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    answer = browser.get(f"{stack.gateway}/customer/echo", headers=headers)
    assert answer.status_code == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert browser.get(f"{stack.gateway}/customer/echo", headers=link).status_code == 200


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_unusual_method_is_refused(stack: GatewayStack, method: str) -> None:
    request = f"{method} /customer/echo HTTP/1.1\r\nHost: {stack.gateway[7:]}\r\n\r\n"
    assert stack.raw(request.encode())[0] in (400, 405)


# --- by which name ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1", "127.0.0.1:1", "evil.127.0.0.1:{port}", "", "a@{host}"]
)
def test_foreign_host_gets_nothing(stack: GatewayStack, browser: httpx.Client, host: str) -> None:
    ours = stack.gateway.removeprefix("http://")
    name = host.format(port=ours.split(":")[1], host=ours)
    for address in (stack.gateway, stack.issuer):
        answer = browser.get(f"{address}/customer/echo", headers={"host": name})
        assert answer.status_code in (400, 421), (address, name)


def test_two_hosts_get_nothing(stack: GatewayStack) -> None:
    host = stack.gateway.removeprefix("http://")
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.test\r\n\r\n"
    assert stack.raw(request.encode())[0] in (400, 421)


def test_localhost_is_sent_to_the_one_origin(stack: GatewayStack) -> None:
    alias = "localhost:" + stack.gateway.rsplit(":", 1)[1]
    answer = httpx.get(
        f"{stack.gateway}/workflow/desk?a=1", headers={"host": alias}, trust_env=False
    )
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{stack.gateway}/workflow/desk?a=1"


@pytest.mark.parametrize(
    "path",
    [
        "/customer/../orders/echo",
        "/customer/%2e%2e/echo",
        "/customer/%2E%2E%2Fecho",
        "/customer//echo",
        "//evil.test/customer/echo",
        "/customer/a%2fb",
        "/customer/a%5cb",
        "/customer/a%00",
        "/customer/a%0d%0aX: 1",
        "/assets/../pyproject.toml",
        "/assets/%2e%2e/pyproject.toml",
    ],
)
def test_path_with_two_readings_is_refused(
    stack: GatewayStack, browser: httpx.Client, path: str
) -> None:
    session = browser.cookies["guanxi_session"]
    host = stack.gateway.removeprefix("http://")
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: guanxi_session={session}\r\n"
        "Accept: application/json\r\n\r\n"
    )
    assert stack.raw(request.encode())[0] in (400, 404)


# --- limits and failures ----------------------------------------------------------------------


def test_body_over_one_megabyte_is_refused(stack: GatewayStack, browser: httpx.Client) -> None:
    url = f"{stack.gateway}/customer/echo"
    headers = stack.own(browser)
    assert browser.post(url, content=b"x" * 1_048_576, headers=headers).status_code == 200
    assert browser.post(url, content=b"x" * 1_048_577, headers=headers).status_code == 413
    chunks = (b"x" * 65_536 for _ in range(20))
    assert browser.post(url, content=chunks, headers=headers).status_code == 413


def test_service_that_is_down_has_a_page_and_a_problem_document(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    page = browser.get(f"{stack.gateway}/scoring/risk")
    assert page.status_code == 502
    assert "该功能暂时没有响应" in page.text
    assert page.headers["retry-after"] == "3"
    browser.cookies.set("guanxi_language", "en", domain="127.0.0.1")
    assert "This part is not answering" in browser.get(f"{stack.gateway}/scoring/risk").text
    problem = browser.post(
        f"{stack.gateway}/scoring/x", headers=stack.own(browser) | {"accept": "*/*"}
    )
    assert problem.status_code == 502
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["message"] == "Nothing was saved: the request did not arrive."


def test_answer_that_breaks_off_looks_broken(stack: GatewayStack, browser: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        browser.get(f"{stack.gateway}/customer/die")


def test_assets_are_cached_by_content_and_only_listed_ones_exist(stack: GatewayStack) -> None:
    page = httpx.get(f"{stack.gateway}/signed-out", trust_env=False).text
    address = page.split('src="/assets/htmx.js')[1].split('"')[0]
    with httpx.Client(trust_env=False) as client:
        named = client.get(f"{stack.gateway}/assets/htmx.js{address}")
        assert "immutable" in named.headers["cache-control"]
        plain = client.get(f"{stack.gateway}/assets/htmx.js")
        assert plain.headers["cache-control"] == "no-cache"
        again = {"if-none-match": plain.headers["etag"]}
        assert client.get(f"{stack.gateway}/assets/htmx.js", headers=again).status_code == 304
        assert client.get(f"{stack.gateway}/assets/pages.py").status_code == 404
