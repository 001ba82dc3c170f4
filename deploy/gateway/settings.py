"""Settings of the gateway: the shared ones and where the services are."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.settings import Settings


class GatewaySettings(Settings):
    """From the environment, prefix GUANXI_."""

    service: str = "gateway"
    upstream_customer: str = "http://127.0.0.1:8801"
    upstream_orders: str = "http://127.0.0.1:8802"
    upstream_workflow: str = "http://127.0.0.1:8803"
    upstream_scoring: str = "http://127.0.0.1:8804"
    upstream_notify: str = "http://127.0.0.1:8805"
    gateway_client_id: str = "guanxi-gateway"
    gateway_client_secret: SecretStr | None = None  # none: a public client, PKCE alone
    session_ttl_s: int = 12 * 3600  # at most; a shorter token ends it earlier
    body_bytes_max: int = 1_048_576
    body_timeout_s: float = 30.0
    read_timeout_s: float = 60.0  # silence of a service; streams send a ping well within it
    stream_max_s: float = 900.0  # a stream is ended and comes back
    session_check_s: float = 3.0  # how often an open stream's session is looked up

    @property
    def upstreams(self) -> dict[str, str]:
        """First part of the path -> address of the service."""
        return {
            "customer": self.upstream_customer,
            "orders": self.upstream_orders,
            "workflow": self.upstream_workflow,
            "scoring": self.upstream_scoring,
            "notify": self.upstream_notify,
        }

    @property
    def origin(self) -> str:
        """As browsers write it in the Origin header."""
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        return urlsplit(self.public_url).netloc

    @property
    def host_aliases(self) -> frozenset[str]:
        """Names a person may type for the same place: sent on to the one origin."""
        parts = urlsplit(self.public_url)
        if parts.hostname != "127.0.0.1":
            return frozenset()
        return frozenset({f"localhost:{parts.port}" if parts.port else "localhost"})

    @property
    def secure(self) -> bool:
        return urlsplit(self.public_url).scheme == "https"

    @property
    def redirect_uri(self) -> str:
        return f"{self.public_url.rstrip('/')}/sign-in/callback"

    @property
    def port(self) -> int:
        return self.http_port or urlsplit(self.public_url).port or 8800

    def cookie(self, name: str) -> str:
        """__Host- binds a cookie to this very host; browsers allow it over https only."""
        return f"__Host-guanxi_{name}" if self.secure else f"guanxi_{name}"
