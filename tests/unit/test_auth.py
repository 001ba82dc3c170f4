"""Every way a token can be wrong is refused, and a good one says who it is."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from shared.auth import (
    KEYS_AGE_MAX_S,
    KEYS_REFRESH_MIN_S,
    KEYS_STALE_MAX_S,
    IssuerUnreachable,
    KeyCache,
    TokenVerifier,
    Unauthorized,
    code_challenge_of,
)

NOW = 1_800_000_000
ISSUER = "http://issuer.test"
KEY = ECKey.generate_key("P-256", {"kid": "k1"}, private=True)
OTHER = ECKey.generate_key("P-256", {"kid": "k2"}, private=True)
Claims = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    issuer: str = ISSUER
    audience: str = "guanxi"
    jwks_url: str | None = None


def public(key: ECKey, **more: str) -> dict[str, Any]:
    return key.as_dict(private=False) | {"kid": key.kid} | more


def verifier(*keys: dict[str, Any]) -> TokenVerifier:
    document = {"keys": list(keys) or [public(KEY)]}
    return TokenVerifier(Settings(), keys=KeyCache(lambda: document), now=lambda: NOW)


def good_claims(**changed: Any) -> Claims:
    claims = {
        "iss": ISSUER,
        "aud": "guanxi",
        "sub": "S001",
        "name": "王芳",
        "kind": "staff",
        "lang": "zh-CN",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 600,
    }
    claims |= changed
    return {name: value for name, value in claims.items() if value is not None}


def token(
    claims: Claims | None = None, header: dict[str, Any] | None = None, key: ECKey = KEY
) -> str:
    head = {"alg": "ES256", "kid": "k1", "typ": "JWT"} | (header or {})
    return jwt.encode(head, claims or good_claims(), key, algorithms=["ES256"])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_good_token_says_who_it_is() -> None:
    claims = verifier().verify(token())
    assert (claims.subject, claims.name, claims.kind, claims.language) == (
        "S001",
        "王芳",
        "staff",
        "zh-CN",
    )
    assert claims.permissions == frozenset()


def test_only_a_system_carries_its_permissions() -> None:
    given = ["bank_events.publish"]
    system = token(good_claims(sub="bank-core", kind="system", permissions=given))
    assert verifier().verify(system).permissions == frozenset(given)
    staff = token(good_claims(permissions=["order.approve"]))
    assert verifier().verify(staff).permissions == frozenset()


def test_audience_may_be_one_of_several() -> None:
    assert verifier().verify(token(good_claims(aud=["other", "guanxi"]))).subject == "S001"


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "other"},
        {"aud": None},
        {"aud": ["other"]},
        {"aud": {"guanxi": 1}},
        {"iss": "http://issuer.test.evil"},
        {"iss": "http://issuer.test/"},
        {"iss": None},
        {"exp": NOW - 61},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": NOW + 61},
        {"iat": NOW + 61},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"kind": "root"},
        {"kind": "system", "permissions": "bank_events.publish"},
        {"kind": "system", "permissions": [1]},
    ],
    ids=str,
)
def test_wrong_claim_is_refused(changed: Claims) -> None:
    with pytest.raises(Unauthorized):
        verifier().verify(token(good_claims(**changed)))


@pytest.mark.parametrize("changed", [{"exp": NOW - 59}, {"nbf": NOW + 59}], ids=str)
def test_clocks_may_differ_by_a_minute(changed: Claims) -> None:
    assert verifier().verify(token(good_claims(**changed))).subject == "S001"


def unsigned() -> str:
    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(good_claims())}."


def unsigned_with_a_signature() -> str:
    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(good_claims())}.{token().split('.')[2]}"


def hmac_with_the_public_key(secret: bytes) -> str:
    """Signed by hand: a good library refuses to make it."""
    signed = f"{part({'alg': 'HS256', 'kid': 'k1', 'typ': 'JWT'})}.{part(good_claims())}"
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def rsa() -> str:
    key = RSAKey.generate_key(2048, {"kid": "k1"}, private=True)
    return jwt.encode({"alg": "RS256", "kid": "k1"}, good_claims(), key, algorithms=["RS256"])


def other_payload() -> str:
    head, _, signature = token().split(".")
    return f"{head}.{part(good_claims(sub='S999'))}.{signature}"


def signature_of_another_token() -> str:
    head, payload, _ = token().split(".")
    return f"{head}.{payload}.{token(good_claims(sub='S999')).split('.')[2]}"


def zero_signature() -> str:
    head, payload, _ = token().split(".")
    return f"{head}.{payload}.{base64.urlsafe_b64encode(bytes(64)).rstrip(b'=').decode()}"


FORGERIES: dict[str, Callable[[], str]] = {
    "empty": str,
    "word": lambda: "token",
    "unsigned": unsigned,
    "unsigned with a signature": unsigned_with_a_signature,
    "HS256, public key in PEM": lambda: hmac_with_the_public_key(KEY.as_pem(private=False)),
    "HS256, public key in JSON": lambda: hmac_with_the_public_key(json.dumps(public(KEY)).encode()),
    "RS256": rsa,
    "other key under our id": lambda: token(key=OTHER),
    "unknown key id": lambda: token(header={"kid": "k9"}, key=OTHER),
    "no key id": lambda: f"{part({'alg': 'ES256'})}.{'.'.join(token().split('.')[1:])}",
    "key in the header": lambda: token(header={"jwk": public(OTHER)}, key=OTHER),
    "key address in the header": lambda: token(header={"jku": "http://evil.test"}, key=OTHER),
    "critical extension": lambda: (
        f"{part({'alg': 'ES256', 'kid': 'k1', 'crit': ['exp']})}."
        + ".".join(token().split(".")[1:])
    ),
    "header is a list": lambda: f"{part(['ES256'])}.{'.'.join(token().split('.')[1:])}",
    "header nested to the brim": lambda: f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.a.a",
    "other payload": other_payload,
    "signature of another token": signature_of_another_token,
    "zero signature": zero_signature,
    "truncated": lambda: token()[:-10],
    "without signature": lambda: token().rsplit(".", 1)[0],
    "with a fourth part": lambda: token() + ".x",
    "padded": lambda: token() + "==",
    "with a newline": lambda: token() + "\n",
    "huge": lambda: token(good_claims(name="x" * 9000)),
    "megabytes": lambda: "a" * 5_000_000,
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES.keys())
def test_forgery_is_refused(forged: Callable[[], str]) -> None:
    with pytest.raises(Unauthorized):
        verifier().verify(forged())


@pytest.mark.parametrize("position", range(0, 400, 7))
def test_one_flipped_character_is_refused(position: int) -> None:
    whole = token()
    at = position % (len(whole) - 1)  # the last character holds bits that no decoder reads
    flipped = "B" if whole[at] != "B" else "C"
    with pytest.raises(Unauthorized):
        verifier().verify(whole[:at] + flipped + whole[at + 1 :])


def test_key_that_is_not_for_signing_is_not_taken() -> None:
    for published in (
        public(KEY, use="enc"),
        public(KEY, alg="ES384"),
        {name: value for name, value in public(KEY).items() if name != "kid"},
        public(ECKey.generate_key("P-384", {"kid": "k1"}, private=True)),
    ):
        with pytest.raises(Unauthorized):
            verifier(published).verify(token())


class Issuer:
    """Answers with what it has; counts how often it is asked; can be away."""

    def __init__(self, *keys: ECKey) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False
        self.now = 1000.0

    def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("away")
        return {"keys": [public(key) for key in self.keys]}

    def cache(self) -> KeyCache:
        return KeyCache(self.fetch, lambda: self.now)


def test_keys_are_asked_once() -> None:
    issuer = Issuer(KEY)
    cache = issuer.cache()
    for _ in range(5):
        cache.key("k1")
    assert issuer.asked == 1


def test_new_key_is_found_and_strangers_cannot_hammer_the_issuer() -> None:
    issuer = Issuer(KEY)
    cache = issuer.cache()
    cache.key("k1")
    issuer.keys.append(OTHER)
    issuer.now += KEYS_REFRESH_MIN_S + 1
    assert cache.key("k2").kid == "k2"
    for number in range(100):
        with pytest.raises(Unauthorized):
            cache.key(f"stranger-{number}")
    assert issuer.asked == 2


def test_withdrawn_key_is_out_after_its_age() -> None:
    issuer = Issuer(KEY, OTHER)
    cache = issuer.cache()
    cache.key("k1")
    issuer.keys = [OTHER]
    issuer.now += KEYS_AGE_MAX_S + 1
    with pytest.raises(Unauthorized):
        cache.key("k1")


def test_known_keys_serve_while_the_issuer_is_away_but_not_for_ever() -> None:
    issuer = Issuer(KEY)
    cache = issuer.cache()
    cache.key("k1")
    issuer.away = True
    issuer.now += KEYS_AGE_MAX_S + 1
    assert cache.key("k1").kid == "k1"
    issuer.now += KEYS_STALE_MAX_S
    with pytest.raises(IssuerUnreachable):
        cache.key("k1")
    issuer.away = False
    assert cache.key("k1").kid == "k1"


def test_no_keys_at_all_is_not_the_callers_fault() -> None:
    issuer = Issuer(KEY)
    issuer.away = True
    with pytest.raises(IssuerUnreachable):
        TokenVerifier(Settings(), keys=issuer.cache(), now=time.time).verify(token())


def test_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B
    assert (
        code_challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
