"""Outside channels: one file each, one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from services.notify.channels import email
from services.notify.channels.letter import Letter, NotTaken
from services.notify.settings import ChannelSettings


@dataclass(frozen=True, slots=True)
class Channel:
    """`send` answers with a proof, or raises NotTaken; `why_off` says why nothing goes this way."""

    send: Callable[[ChannelSettings, Letter], str]
    why_off: Callable[[ChannelSettings], str | None]


CHANNELS: dict[str, Channel] = {email.NAME: Channel(email.send, email.why_off)}

__all__ = ["CHANNELS", "Channel", "Letter", "NotTaken"]
