"""Signing in and out, and what an attacker tries on the way; the issuer's own refusals."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from shared.auth import TokenVerifier, Unauthorized, code_challenge_of
from shared.settings import Settings
from shared.testing.servers import Servers
from tests.integration.gateway_stack import ROOT, GatewayStack, gateway_stack, query_of

VERIFIER = "v" * 64


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[GatewayStack]:
    folder: Path = tmp_path_factory.mktemp("sign-in")
    with gateway_stack(folder, servers.redis) as running:
        yield running


@pytest.fixture
def browser(stack: GatewayStack) -> Iterator[httpx.Client]:
    with stack.browser() as fresh:
        yield fresh


def subject_seen(stack: GatewayStack, browser: httpx.Client) -> str:
    """Whom a service takes the browser's requests for."""
    answer = browser.get(f"{stack.gateway}/customer/echo")
    token = dict(answer.json()["headers"])["authorization"].removeprefix("Bearer ")
    return TokenVerifier(Settings(issuer=stack.issuer)).verify(token).subject


def asked(stack: GatewayStack, **changed: str | None) -> dict[str, str]:
    """An authorization request as the gateway would make it."""
    whole: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "guanxi-gateway",
        "redirect_uri": f"{stack.gateway}/sign-in/callback",
        "scope": "openid profile",
        "state": "s" * 32,
        "nonce": "n" * 32,
        "code_challenge": code_challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}


def code_from_issuer(stack: GatewayStack, browser: httpx.Client, staff_id: str = "S001") -> str:
    page = browser.get(f"{stack.issuer}/authorize", params=asked(stack))
    chosen = choose(stack, browser, ticket_of(page), staff_id)
    return query_of(chosen.headers["location"])["code"]


def ticket_of(page: httpx.Response) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def choose(
    stack: GatewayStack, browser: httpx.Client, ticket: str, staff_id: str, origin: str = ""
) -> httpx.Response:
    form = {"ticket": ticket, "staff_id": staff_id}
    headers = {"origin": origin or stack.issuer}
    return browser.post(f"{stack.issuer}/authorize", data=form, headers=headers)


def redeem(stack: GatewayStack, browser: httpx.Client, code: str, **changed: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": "guanxi-gateway",
        "redirect_uri": f"{stack.gateway}/sign-in/callback",
        "code_verifier": VERIFIER,
    }
    return browser.post(f"{stack.issuer}/token", data=form | changed)


# --- through the gateway ----------------------------------------------------------------------


def test_two_people_in_two_browsers(stack: GatewayStack) -> None:
    with stack.signed_in("S001") as first, stack.signed_in("S002") as second:
        assert subject_seen(stack, first) == "S001"
        assert subject_seen(stack, second) == "S002"
        assert subject_seen(stack, first) == "S001"


def test_cookies_hide_the_session_from_scripts(stack: GatewayStack, browser: httpx.Client) -> None:
    answer = browser.get(stack.code_for(browser, "S001"))
    cookies = {c.split("=")[0]: c.lower() for c in answer.headers.get_list("set-cookie")}
    assert "httponly" in cookies["guanxi_session"]
    assert "samesite=lax" in cookies["guanxi_session"]
    assert "samesite=strict" in cookies["guanxi_csrf"]
    value = cookies["guanxi_session"].split(";")[0].partition("=")[2]
    assert value
    assert "." not in value  # an id: the parts of a JWT are joined by dots


def test_callback_works_once(stack: GatewayStack, browser: httpx.Client) -> None:
    callback = stack.code_for(browser, "S001")
    assert browser.get(callback).status_code == 303
    with stack.browser() as other:
        other.cookies.update(dict(browser.cookies))
        assert other.get(callback).status_code == 400
    assert browser.get(callback).status_code == 400


def test_callback_of_another_browser_signs_nobody_in(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    callback = stack.code_for(browser, "S001")
    with stack.browser() as victim:
        victim.get(f"{stack.gateway}/sign-in")
        assert victim.get(callback).status_code == 400
        assert "guanxi_session" not in victim.cookies


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "x" * 43},
        {"code": "x" * 43},
        {"code": ""},
        {"iss": "http://evil.test"},
        {"error": "access_denied"},
    ],
    ids=str,
)
def test_changed_callback_signs_nobody_in(
    stack: GatewayStack, browser: httpx.Client, changed: dict[str, str]
) -> None:
    callback = stack.code_for(browser, "S001")
    parameters = query_of(callback) | changed
    answer = browser.get(f"{stack.gateway}/sign-in/callback", params=parameters)
    assert answer.status_code == 400
    assert "登录未成功" in answer.text
    assert "guanxi_session" not in browser.cookies


def test_code_of_another_sign_in_is_refused_by_its_challenge(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    """A stolen code is worth nothing in the thief's own sign-in."""
    stolen = query_of(stack.code_for(browser, "S001"))["code"]
    with stack.browser() as thief:
        parameters = query_of(stack.code_for(thief, "S002")) | {"code": stolen}
        answer = thief.get(f"{stack.gateway}/sign-in/callback", params=parameters)
        assert answer.status_code == 400


def test_sign_in_gives_a_new_session_and_ends_the_old(stack: GatewayStack) -> None:
    with stack.signed_in("S001") as browser, stack.browser() as thief:
        thief.cookies.set("guanxi_session", browser.cookies["guanxi_session"], domain="127.0.0.1")
        browser.get(stack.code_for(browser, "S002"))
        assert subject_seen(stack, browser) == "S002"
        json = {"accept": "application/json"}
        assert thief.get(f"{stack.gateway}/customer/echo", headers=json).status_code == 401


@pytest.mark.parametrize(
    "next_path",
    ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)", "/\tevil", "evil"],
)
def test_sign_in_never_leads_away(
    stack: GatewayStack, browser: httpx.Client, next_path: str
) -> None:
    back = browser.get(stack.code_for(browser, "S001", next_path))
    assert back.headers["location"] == "/"
    language = browser.get(f"{stack.gateway}/language", params={"to": "en", "next": next_path})
    assert language.headers["location"] == "/"


def test_sign_out_ends_the_session_and_needs_our_page(stack: GatewayStack) -> None:
    with stack.signed_in() as browser:
        session = browser.cookies["guanxi_session"]
        assert browser.post(f"{stack.gateway}/sign-out").status_code == 403
        headers = stack.own(browser) | {"hx-request": "true"}
        done = browser.post(f"{stack.gateway}/sign-out", headers=headers)
        assert done.headers["hx-redirect"] == "/signed-out"
        assert "guanxi_session" not in browser.cookies
        cookie = {"cookie": f"guanxi_session={session}", "accept": "application/json"}
        assert browser.get(f"{stack.gateway}/customer/echo", headers=cookie).status_code == 401


def test_chosen_language_reaches_the_service(stack: GatewayStack) -> None:
    with stack.signed_in("S001") as browser:
        browser.get(f"{stack.gateway}/language", params={"to": "en", "next": "/"})
        headers = dict(browser.get(f"{stack.gateway}/customer/echo").json()["headers"])
        assert headers["x-guanxi-language"] == "en"


def test_wiped_redis_only_asks_for_a_new_sign_in(stack: GatewayStack) -> None:
    with stack.signed_in() as browser:
        store = redis.Redis.from_url(stack.environment["GUANXI_REDIS"])
        assert not any(
            browser.cookies["guanxi_session"].encode() in key for key in store.scan_iter()
        )
        store.close()
        stack.lose_sessions()
        sent = browser.get(f"{stack.gateway}/customer/page/sample")
        assert sent.headers["location"].startswith("/sign-in")
        assert browser.get(stack.code_for(browser, "S001")).status_code == 303


# --- the issuer -------------------------------------------------------------------------------


def test_code_becomes_tokens_of_the_chosen_person(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    answer = redeem(stack, browser, code_from_issuer(stack, browser, "S002")).json()
    settings = Settings(issuer=stack.issuer)
    access = TokenVerifier(settings).verify(answer["access_token"])
    assert (access.subject, access.kind, access.language) == ("S002", "staff", "en")
    identity = TokenVerifier(settings, audience="guanxi-gateway").verify(answer["id_token"])
    assert identity.nonce == "n" * 32
    with pytest.raises(Unauthorized):  # an id token opens no service
        TokenVerifier(settings).verify(answer["id_token"])


def test_code_works_once(stack: GatewayStack, browser: httpx.Client) -> None:
    code = code_from_issuer(stack, browser)
    assert redeem(stack, browser, code).status_code == 200
    assert redeem(stack, browser, code).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": ""},
        {"code_verifier": "w" * 64},
        {"code_verifier": code_challenge_of(VERIFIER)},
        {"redirect_uri": "http://evil.test/"},
        {"client_id": "bank-core"},
        {"client_id": ""},
        {"grant_type": "password"},
    ],
    ids=str,
)
def test_wrong_try_burns_the_code(
    stack: GatewayStack, browser: httpx.Client, changed: dict[str, str]
) -> None:
    code = code_from_issuer(stack, browser)
    assert redeem(stack, browser, code, **changed).status_code == 400
    if "grant_type" not in changed:
        assert redeem(stack, browser, code).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": None},
        {"code_challenge": "short"},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"response_type": "token"},
        {"response_type": None},
        {"scope": "profile"},
        {"state": None},
        {"nonce": None},
        {"nonce": "n" * 600},
    ],
    ids=str,
)
def test_incomplete_request_gets_no_page(
    stack: GatewayStack, browser: httpx.Client, changed: dict[str, str | None]
) -> None:
    answer = browser.get(f"{stack.issuer}/authorize", params=asked(stack, **changed))
    assert answer.status_code == 303
    assert "error" in query_of(answer.headers["location"])


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "http://evil.test/sign-in/callback"},
        {"redirect_uri": None},
        {"client_id": "someone"},
    ],
    ids=str,
)
def test_request_of_a_stranger_is_never_redirected(
    stack: GatewayStack, browser: httpx.Client, changed: dict[str, str | None]
) -> None:
    answer = browser.get(f"{stack.issuer}/authorize", params=asked(stack, **changed))
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_choice_is_made_on_the_issuers_page_once(
    stack: GatewayStack, browser: httpx.Client
) -> None:
    ticket = ticket_of(browser.get(f"{stack.issuer}/authorize", params=asked(stack)))
    for origin in ("http://evil.test", stack.gateway, "null"):
        assert choose(stack, browser, ticket, "S001", origin).status_code == 400
    assert choose(stack, browser, ticket, "S001").status_code == 303
    assert choose(stack, browser, ticket, "S001").status_code == 400


def test_only_listed_staff_can_be_chosen(stack: GatewayStack, browser: httpx.Client) -> None:
    ticket = ticket_of(browser.get(f"{stack.issuer}/authorize", params=asked(stack)))
    assert choose(stack, browser, ticket, "S999").status_code == 400


def test_make_token_prints_a_bank_systems_token(stack: GatewayStack) -> None:
    claims = TokenVerifier(Settings(issuer=stack.issuer)).verify(stack.bank_token())
    assert (claims.subject, claims.kind) == ("bank-core", "system")
    assert claims.permissions == {"bank_events.publish"}


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 43])
def test_wrong_client_secret_gets_nothing(
    stack: GatewayStack, browser: httpx.Client, secret: str
) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": "bank-core",
        "client_secret": secret,
    }
    assert browser.post(f"{stack.issuer}/token", data=form).status_code == 401


def test_key_and_secret_are_readable_by_their_owner_only(stack: GatewayStack) -> None:
    for name in ("key.json", "bank-core.secret"):
        mode = (stack.folder / "issuer" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_key_stays_the_same_after_a_restart(stack: GatewayStack, browser: httpx.Client) -> None:
    before = browser.get(f"{stack.issuer}/jwks.json").json()
    child = stack.children["issuer"]
    child.terminate()
    child.wait(timeout=60)
    stack.start("issuer", "-m", "deploy.local.issuer")
    stack.wait_for(f"{stack.issuer}/health/live", "issuer")
    assert browser.get(f"{stack.issuer}/jwks.json").json() == before
    assert "d" not in before["keys"][0]


@pytest.mark.parametrize(
    "changed",
    [
        {"GUANXI_ISSUER": "http://0.0.0.0:1"},
        {"GUANXI_ISSUER": "http://192.0.2.1:1"},
        {"GUANXI_ISSUER": "http://localhost:1"},
        {"GUANXI_ISSUER_BIND": "192.0.2.1"},
        {"GUANXI_ENVIRONMENT": "production"},
    ],
    ids=str,
)
def test_issuer_refuses_to_start_elsewhere(tmp_path: Path, changed: dict[str, str]) -> None:
    environment = {**os.environ, "GUANXI_ISSUER_FOLDER": str(tmp_path), **changed}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.issuer"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "local" in done.stderr
    assert not any(tmp_path.iterdir())
