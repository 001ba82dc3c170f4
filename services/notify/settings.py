"""Settings of notify beyond the shared ones: what its outside channels need."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class ChannelSettings(BaseSettings):
    """The mail server. Without a host the channel is off, and each delivery says so."""

    model_config = SettingsConfigDict(env_prefix="GUANXI_", extra="ignore", frozen=True)

    smtp_host: str | None = None
    smtp_port: int = 25
    mail_from: str = "guanxi@localhost"
