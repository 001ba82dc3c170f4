"""Outside channels: one file each, one line here. A channel: `send(settings, letter) -> proof`."""

from collections.abc import Callable

from services.notify.channels import email
from services.notify.channels.letter import Letter, NotTaken
from services.notify.settings import ChannelSettings

Channel = Callable[[ChannelSettings, Letter], str]

CHANNELS: dict[str, Channel] = {email.NAME: email.send}

__all__ = ["CHANNELS", "Channel", "Letter", "NotTaken"]
