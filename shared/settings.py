"""All settings of a service, one typed list. Read from the environment, prefix GUANXI_."""

from base64 import b64decode
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

# Published with the sources: for the local stack only.
LOCAL_KEY = "Z3VhbnhpLWxvY2FsLWtleS1ub3QtZm9yLXJlYWwtdXM="


class Refused(SystemExit):
    """The process must not run like this; the text says why in one sentence."""


class Settings(BaseSettings):
    """One process's settings. Addresses are required in production; the local stack sets all."""

    model_config = SettingsConfigDict(env_prefix="GUANXI_", extra="ignore", frozen=True)

    service: str = "guanxi"  # customer, orders, workflow, scoring, notify
    environment: str = "production"  # or local, said by the local stack: it may use the local key
    kafka: str = "127.0.0.1:9192"  # bootstrap servers, comma separated
    database: str = "postgresql+psycopg://guanxi@127.0.0.1:5532/guanxi"  # the migrator's address
    database_password: SecretStr | None = None  # of the service's own role; none: trust
    redis: str = "redis://127.0.0.1:6479/0"
    topic_prefix: str = ""  # tests give every test its own topics
    db_schema: str | None = None  # none: the service's name
    http_host: str = "127.0.0.1"
    http_port: int = 0  # 0: any free port
    public_url: str = "http://127.0.0.1:8800"  # the gateway, as a browser sees it
    issuer: str = "http://127.0.0.1:8807"
    audience: str = "guanxi"
    jwks_url: str | None = None  # none: asked from the issuer's discovery document
    clock_file: Path | None = None  # the local stack's bank clock; none: bank_now is the wall clock
    bank_time_zone: str = "Asia/Shanghai"
    currency: str = "CNY"  # the bank's own currency
    log_level: str = "info"
    log_json: bool = True
    personal_key: SecretStr = SecretStr(LOCAL_KEY)  # of personal data: 32 bytes, base64
    # Consumer
    poll_timeout_s: float = 0.25
    fetch_rest_s: float = 0.25  # how long the broker may hold a fetch of all that finds nothing
    rest_max_s: float = 0.05  # between small batches or rounds, at most as long as the last took
    session_timeout_s: float = 10.0
    retries_max: int = 5
    retry_backoff_s: float = 0.2
    parked_per_hour_max: int = 1000
    # Identities (inbox, HTTP intake) and settled letters: longer than a message can come again,
    # from a topic kept 14 days or from a source that repeats itself.
    kept_days: int = Field(default=90, ge=30)
    story_kept_days: int = Field(default=400, ge=90)  # what led to a notice: bank days, over a year
    # Relay
    relay_rows_max: int = 2000
    relay_busy_s: float = 0.02
    relay_idle_s: float = 0.25
    relay_line_idle_s: float = 0.05  # of a service with a line: nobody wakes the relay for it
    delivery_timeout_s: float = 20.0

    @property
    def schema_name(self) -> str:
        return self.db_schema or self.service

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.bank_time_zone)

    def refuse_unsafe_key(self) -> None:
        """Raises Refused unless personal data get a key of the bank's own."""
        key = self.personal_key.get_secret_value()
        if key == LOCAL_KEY and self.environment != "local":
            raise Refused(
                "error: GUANXI_PERSONAL_KEY is not set: 32 random bytes in base64, kept for ever "
                "(the published key serves with GUANXI_ENVIRONMENT=local only)"
            )
        try:
            size = len(b64decode(key, validate=True))
        except ValueError:
            size = 0
        if size != 32:
            raise Refused("error: GUANXI_PERSONAL_KEY is not 32 bytes in base64")

    def topic(self, name: str) -> str:
        """The topic as the broker knows it."""
        return self.topic_prefix + name

    def plain_topic(self, name: str) -> str:
        """The topic as the contract knows it."""
        return name.removeprefix(self.topic_prefix)
