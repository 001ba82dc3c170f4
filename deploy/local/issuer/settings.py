"""Settings of the local issuer, and the refusals that keep it local."""

import ipaddress
import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.places import data_folder


class Refused(SystemExit):
    """The issuer must not run like this."""


class IssuerSettings(BaseSettings):
    """From the environment, prefix GUANXI_; the shared names mean what they mean everywhere."""

    model_config = SettingsConfigDict(env_prefix="GUANXI_", extra="ignore", frozen=True)

    environment: str = "local"
    issuer: str = "http://127.0.0.1:8807"  # scheme, host and port; no path
    issuer_bind: str | None = None  # none: the issuer's own host
    # Key and client secrets, mode 600; none given: with the data of this checkout's demo.
    issuer_folder: Path = Field(default_factory=lambda: data_folder() / "issuer")
    issuer_staff_file: Path | None = None  # none: staff.json in the folder; see read_staff
    public_url: str = "http://127.0.0.1:8800"  # the gateway: the only allowed way back
    audience: str = "guanxi"
    gateway_client_id: str = "guanxi-gateway"
    bank_client_id: str = "bank-core"
    bank_client_secret: str | None = None  # none: generated into the folder
    token_ttl_s: int = 12 * 3600  # a working day; a session ends with its token

    @property
    def bind(self) -> tuple[str, int]:
        parts = urlsplit(self.issuer)
        return self.issuer_bind or parts.hostname or "", parts.port or 80

    @property
    def hosts(self) -> frozenset[str]:
        """The Host header values that are answered: a rebound name is not among them."""
        return frozenset({urlsplit(self.issuer).netloc})

    @property
    def redirect_uri(self) -> str:
        return f"{self.public_url.rstrip('/')}/sign-in/callback"

    @property
    def staff_file(self) -> Path:
        return self.issuer_staff_file or self.issuer_folder / "staff.json"

    def refuse_elsewhere(self) -> None:
        """Raises Refused unless this is a developer's machine and nobody else can connect."""
        if self.environment != "local":
            raise Refused("the local issuer asks for no password: it runs in the local stack only")
        for host in (self.bind[0], urlsplit(self.issuer).hostname or ""):
            if not _is_loopback(host):
                raise Refused(f"the local issuer listens on loopback only, not on {host!r}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # also for names, "localhost" included: a name can be pointed elsewhere


@dataclass(frozen=True)
class StaffMember:
    """Whom the page offers. Texts are in both languages."""

    staff_id: str
    name: str
    language: str = "zh-CN"
    post: dict[str, str] = field(default_factory=dict)
    department: dict[str, str] = field(default_factory=dict)


def read_staff(path: Path) -> list[StaffMember]:
    """The file the demo writes: a JSON list of {staff_id, name, language, post, department}.

    Read at every request: the seed may come after the issuer has started.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [
        StaffMember(
            staff_id=str(entry["staff_id"]),
            name=str(entry["name"]),
            language=str(entry.get("language", "zh-CN")),
            post=dict(entry.get("post") or {}),
            department=dict(entry.get("department") or {}),
        )
        for entry in listed
    ]
