"""The signing key and the client secrets: made once, kept in the issuer's folder, mode 600."""

import json
import os
import secrets
import time
import uuid
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from shared.auth import ALGORITHM


def private_text(path: Path, made: str) -> str:
    """The file's text; written with `made` first if it is not there. Never readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(made)
        os.link(draft, path)  # whole or not at all, and the first of two writers wins
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    path.chmod(0o600)
    return path.read_text(encoding="utf-8")


class SigningKey:
    """The issuer's private key."""

    def __init__(self, folder: Path) -> None:
        fresh = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, private=True)
        document = fresh.as_dict(private=True) | {"kid": fresh.thumbprint()}
        kept = json.loads(private_text(folder / "key.json", json.dumps(document)))
        self._key = ECKey.import_key(kept)
        self.kid = str(kept["kid"])

    def public_keys(self) -> dict[str, Any]:
        public = self._key.as_dict(private=False)
        return {"keys": [public | {"kid": self.kid, "use": "sig", "alg": ALGORITHM}]}

    def sign(self, claims: dict[str, Any], *, issuer: str, audience: str, ttl_s: int) -> str:
        """A signed token; times are added here so that none lacks them."""
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + ttl_s}
        whole = {"iss": issuer, "aud": audience, "jti": uuid.uuid4().hex, **times, **claims}
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": "JWT"}
        return jwt.encode(header, whole, self._key, algorithms=[ALGORITHM])


def client_secret(folder: Path, client_id: str, given: str | None) -> str:
    """From the environment if set, else generated once."""
    if given:
        return given
    return private_text(folder / f"{client_id}.secret", secrets.token_urlsafe(32)).strip()
