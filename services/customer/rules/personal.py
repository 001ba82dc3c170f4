"""Personal data at rest: sealed under the subject's own key, found by a keyed hash.

Each subject has a random 256-bit key, wrapped by the bank's key (KEK). Losing the subject's key
row makes everything sealed for him unreadable. Equality search goes through an HMAC; what a page
shows without a clear-read permission is a mask made when the value was stored.
"""

import hashlib
import hmac
import os
import re
from base64 import b64decode
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_BYTES = 32


class Keyring:
    """Keys derived from the one personal key of the settings (32 bytes, base64)."""

    def __init__(self, personal_key: str) -> None:
        root = b64decode(personal_key)
        if len(root) != KEY_BYTES:
            raise ValueError("the personal key is not 32 bytes of base64")
        self._wrapping = AESGCM(_derived(root, b"guanxi customer wrapping"))
        self._blind = _derived(root, b"guanxi customer blind index")

    def new_subject_key(self, subject_id: str) -> bytes:
        """A fresh key of a subject, wrapped."""
        return _sealed(self._wrapping, os.urandom(KEY_BYTES), subject_id.encode())

    def seal(self, wrapped_key: bytes, subject_id: str, plain: dict[str, Any]) -> bytes:
        """Encrypts a record under the subject's key, bound to the subject."""
        key = self._unwrapped(wrapped_key, subject_id)
        return _sealed(key, msgspec.json.encode(plain), subject_id.encode())

    def unseal(self, wrapped_key: bytes, subject_id: str, sealed: bytes) -> dict[str, Any]:
        """Raises cryptography's InvalidTag for another subject's record or a changed byte."""
        key = self._unwrapped(wrapped_key, subject_id)
        plain = key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], subject_id.encode())
        read: dict[str, Any] = msgspec.json.decode(plain)
        return read

    def blind_index(self, kind: str, value: str) -> bytes:
        """The keyed hash by which an exact value is found; kinds do not meet."""
        message = f"{kind}\x00{normal_form(kind, value)}".encode()
        return hmac.new(self._blind, message, hashlib.sha256).digest()

    def _unwrapped(self, wrapped: bytes, subject_id: str) -> AESGCM:
        key = self._wrapping.decrypt(
            wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject_id.encode()
        )
        return AESGCM(key)


def normal_form(kind: str, value: str) -> str:
    """One writing per value: phones without +86 and blanks, documents without blanks, upper."""
    if kind == "phone":
        digits = re.sub(r"\D", "", value)
        return digits[2:] if len(digits) == 13 and digits.startswith("86") else digits
    return re.sub(r"[\s-]", "", value).upper()


def masked(kind: str, value: str) -> str:
    """What is shown of a value: the last digits only; of an address the first characters."""
    if kind == "address":
        return value[:6] + "…" if len(value) > 6 else "…"
    if kind == "email":
        name, _, host = value.partition("@")
        return f"{name[:1]}***@{host}" if host else "***"
    tail = normal_form(kind, value)[-4:]
    return "*" * 4 + tail if len(normal_form(kind, value)) > 6 else "****"


def looks_like_phone(query: str) -> bool:
    """Seven digits or more, with the usual marks between them."""
    digits = re.sub(r"\D", "", query)
    return len(digits) >= 7 and re.fullmatch(r"[\d\s+()-]+", query) is not None


def _derived(root: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(root)


def _sealed(key: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, bound_to)
